internal import TraceModel

/// C text as a String; protobuf-c gives an empty one for a missing field, never NULL.
func readText(_ text: UnsafePointer<CChar>?) throws(TraceError) -> String {
    guard let text = unsafe text else { throw TraceError(.corrupt, "a text is NULL") }
    return unsafe String(cString: text)
}

func readTexts(
    _ count: Int,
    _ texts: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) throws(TraceError) -> [String] {
    guard count > 0 else { return [] }
    guard let texts = unsafe texts else { throw TraceError(.corrupt, "a list is NULL") }
    var result: [String] = []
    result.reserveCapacity(count)
    for index in 0..<count { unsafe try result.append(readText(texts[index])) }
    return result
}

func readMessages<Message: WireMessage>(
    _ count: Int,
    _ wires: UnsafeMutablePointer<UnsafeMutablePointer<Message.Wire>?>?
) throws(TraceError) -> [Message] {
    guard count > 0 else { return [] }
    guard let wires = unsafe wires else { throw TraceError(.corrupt, "a list is NULL") }
    var result: [Message] = []
    result.reserveCapacity(count)
    for index in 0..<count {
        guard let wire = unsafe wires[index] else {
            throw TraceError(.corrupt, "a \(Message.self) is NULL")
        }
        unsafe try result.append(Message(wire.pointee))
    }
    return result
}

func readWorker(_ text: UnsafePointer<CChar>?) throws(TraceError) -> WorkerName {
    let text = unsafe try readText(text)
    guard let name = WorkerName(text) else {
        throw TraceError(.corrupt, "\"\(text)\" is no worker's name")
    }
    return name
}

func readResource(_ text: UnsafePointer<CChar>?) throws(TraceError) -> Resource {
    let text = unsafe try readText(text)
    guard let resource = Resource(name: text) else {
        throw TraceError(.corrupt, "\"\(text)\" is no resource")
    }
    return resource
}

func readSlot(_ number: UInt32) throws(TraceError) -> UInt8 {
    guard let slot = UInt8(exactly: number) else {
        throw TraceError(.corrupt, "\(number) is no slot")
    }
    return slot
}
