/// A host, by its place in one manager's table: until the host is given up and the window has ended.
@usableFromInline package struct HostID: Hashable, Sendable {
    @usableFromInline package let index: UInt32

    init(index: UInt32) { self.index = index }
}
