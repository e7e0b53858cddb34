/// Finds the files of descriptor sets (google.protobuf.FileDescriptorSet) by name and by what they
/// define. Field numbers are those of google/protobuf/descriptor.proto.
struct DescriptorIndex: Sendable {
    private struct File {
        let name: String
        let bytes: [UInt8]
        let dependencies: [String]
    }

    private var files: [File] = []
    private var fileBySymbol: [String: Int] = [:]
    private(set) var services: [String] = []

    init(_ sets: [[UInt8]]) {
        for set in sets {
            for field in WireFields(set[...]) where field.number == 1 { add(Array(field.bytes)) }
        }
        services.sort()
    }

    /// The file and all it needs, itself first; nil where there is no such file.
    func file(named name: String) -> [[UInt8]]? {
        guard let index = files.firstIndex(where: { $0.name == name }) else { return nil }
        return withDependencies(index)
    }

    /// The file that defines a message, enum, field, service or method, by its full name.
    func file(containing symbol: String) -> [[UInt8]]? {
        fileBySymbol[symbol].map { withDependencies($0) }
    }

    private func withDependencies(_ first: Int) -> [[UInt8]] {
        var order = [first]
        var position = 0
        while position < order.count {
            for name in files[order[position]].dependencies {
                guard let index = files.firstIndex(where: { $0.name == name }) else { continue }
                if !order.contains(index) { order.append(index) }
            }
            position += 1
        }
        return order.map { files[$0].bytes }
    }

    private mutating func add(_ bytes: [UInt8]) {
        let fields = Array(WireFields(bytes[...]))
        let name = Self.text(fields, 1)
        guard !files.contains(where: { $0.name == name }) else { return }
        let package = Self.text(fields, 2)
        let dependencies = fields.filter { $0.number == 3 }
            .map { String(decoding: $0.bytes, as: UTF8.self) }
        files.append(File(name: name, bytes: bytes, dependencies: dependencies))
        for field in fields {
            switch field.number {
            case 4: addMessage(field.bytes, in: package)
            case 5: addEnum(field.bytes, in: package)
            case 6: addService(field.bytes, in: package)
            case 7: addName(field.bytes, in: package)
            default: break
            }
        }
    }

    private mutating func addMessage(_ bytes: ArraySlice<UInt8>, in scope: String) {
        let name = addName(bytes, in: scope)
        for field in WireFields(bytes) {
            switch field.number {
            case 3: addMessage(field.bytes, in: name)
            case 4: addEnum(field.bytes, in: name)
            case 2, 6, 8: addName(field.bytes, in: name)
            default: break
            }
        }
    }

    /// Values of an enum stand beside it, not in it, as in C++.
    private mutating func addEnum(_ bytes: ArraySlice<UInt8>, in scope: String) {
        addName(bytes, in: scope)
        for field in WireFields(bytes) where field.number == 2 { addName(field.bytes, in: scope) }
    }

    private mutating func addService(_ bytes: ArraySlice<UInt8>, in scope: String) {
        let name = addName(bytes, in: scope)
        services.append(name)
        for field in WireFields(bytes) where field.number == 2 { addName(field.bytes, in: name) }
    }

    @discardableResult
    private mutating func addName(_ bytes: ArraySlice<UInt8>, in scope: String) -> String {
        let own = Self.text(Array(WireFields(bytes)), 1)
        let name = scope.isEmpty ? own : "\(scope).\(own)"
        fileBySymbol[name] = files.count - 1
        return name
    }

    private static func text(_ fields: [WireFields.Field], _ number: Int) -> String {
        guard let field = fields.first(where: { $0.number == number }) else { return "" }
        return String(decoding: field.bytes, as: UTF8.self)
    }
}
