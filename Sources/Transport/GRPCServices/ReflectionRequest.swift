/// `grpc.reflection.v1alpha.ServerReflectionRequest` (Protos/reflection.proto), read by hand: its
/// answer repeats it byte for byte.
struct ReflectionRequest {
    enum Question: Equatable {
        case listServices
        case file(String)
        case symbol(String)
        case `extension`(type: String)
        case extensions(type: String)
        case none
    }

    let bytes: [UInt8]
    private(set) var host = ""
    private(set) var question = Question.none

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        for field in WireFields(bytes[...]) {
            let text = String(decoding: field.bytes, as: UTF8.self)
            switch field.number {
            case 1: host = text
            case 3: question = .file(text)
            case 4: question = .symbol(text)
            case 5:
                let type = WireFields(field.bytes).first { $0.number == 1 }
                question = .extension(type: String(decoding: type?.bytes ?? [], as: UTF8.self))
            case 6: question = .extensions(type: text)
            case 7: question = .listServices
            default: break
            }
        }
    }
}
