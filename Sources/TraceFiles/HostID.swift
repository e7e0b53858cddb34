/// A host, by its place in one manager's table.
@usableFromInline
package struct HostID: Hashable, Sendable {
    @usableFromInline
    package let index: UInt16

    init(index: UInt16) { self.index = index }
}
