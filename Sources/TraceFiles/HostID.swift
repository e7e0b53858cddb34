/// A host, by its place in one manager's table.
package struct HostID: Hashable, Sendable {
    package let index: UInt16

    init(index: UInt16) { self.index = index }
}
