package import TraceModel

/// Where one event stands in its batch, and whose it is. 16 bytes.
package struct EventEntry: Sendable {
    /// Of the field's tag, from the batch's first byte.
    package let offset: UInt32
    /// Tag, length and payload together: these bytes alone are a valid `TraceBatch`.
    package let length: UInt32
    package let processID: UInt32
    package let resource: Resource

    @inlinable
    package init(offset: UInt32, length: UInt32, processID: UInt32, resource: Resource) {
        self.offset = offset
        self.length = length
        self.processID = processID
        self.resource = resource
    }
}
