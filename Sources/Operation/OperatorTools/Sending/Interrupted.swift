/// Thrown where a person's Ctrl-C ended the work; what was acknowledged until then stays.
package struct Interrupted: Error, CustomStringConvertible {
    package init() {}

    package var description: String { "interrupted" }
}
