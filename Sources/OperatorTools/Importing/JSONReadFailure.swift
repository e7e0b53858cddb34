/// Why JSON couldn't be read on.
package enum JSONReadFailure: Error, CustomStringConvertible, Equatable {
    /// The text ends inside a value: a recording cut off, which the trace format allows.
    case endOfInput
    case syntax(offset: Int, expected: String)
    case tooDeep(offset: Int)

    package var description: String {
        switch self {
        case .endOfInput: "the file ends in the middle"
        case .syntax(let offset, let expected): "byte \(offset): expected \(expected)"
        case .tooDeep(let offset): "byte \(offset): nested too deep"
        }
    }
}
