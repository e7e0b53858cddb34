/// A value of a JSON text with the line it begins in.
package struct ConfigurationNode: Sendable {
    package enum Content: Sendable {
        case object([Member])
        case array([ConfigurationNode])
        case string(String)
        case number(Double)
        case bool(Bool)
        case null
    }

    package struct Member: Sendable {
        package let key: String
        package let line: Int
        package let value: ConfigurationNode
    }

    package let line: Int
    package let content: Content
}
