import Glibc

/// Bytes that somebody else owns: valid only as long as the buffer they point into.
/// Trivial, so that decoded events can lie in raw arrays.
@usableFromInline package struct ByteView {
    @usableFromInline package let start: UnsafeRawPointer?
    @usableFromInline package let count: Int

    @inlinable package init(start: UnsafeRawPointer?, count: Int) {
        self.start = start
        self.count = count
    }

    @inlinable package init(_ buffer: UnsafeRawBufferPointer) {
        self.init(start: buffer.baseAddress, count: buffer.count)
    }

    @inlinable package static var empty: ByteView { ByteView(start: nil, count: 0) }

    @inlinable package var isEmpty: Bool { count == 0 }

    @inlinable package var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// The first `limit` bytes, cut at a boundary of a UTF-8 scalar.
    @inlinable @inline(__always) package func cut(at limit: Int) -> ByteView { count > limit ? beginning(limit) : self }

    @inline(never) @usableFromInline func beginning(_ limit: Int) -> ByteView {
        guard let start else { return self }
        var end = limit
        while end > 0, start.load(fromByteOffset: end, as: UInt8.self) & 0xC0 == 0x80 { end -= 1 }
        return ByteView(start: start, count: end)
    }

    /// A copy as text; invalid UTF-8 becomes U+FFFD.
    package var string: String { String(decoding: buffer, as: UTF8.self) }
}

/// A text that is compared, ordered and hashed by its bytes. `String` takes canonically equivalent Unicode for equal (`é` as one
/// scalar or as two), so that names which differ would fall together where they are keys.
package struct TextKey: Hashable, Comparable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (left: TextKey, right: TextKey) -> Bool {
        left.text.utf8.count == right.text.utf8.count && order(left.text, right.text) == 0
    }

    package static func < (left: TextKey, right: TextKey) -> Bool {
        let order = order(left.text, right.text)
        return order != 0 ? order < 0 : left.text.utf8.count < right.text.utf8.count
    }

    /// `==` of keys, for texts in a row.
    package static func areEqual(_ left: String, _ right: String) -> Bool { TextKey(left) == TextKey(right) }

    /// `<` of keys, for texts in a row.
    package static func areInOrder(_ left: String, _ right: String) -> Bool { TextKey(left) < TextKey(right) }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        // Of texts in a row, where one ends is part of the hash.
        hasher.combine(text.utf8.count)
    }

    /// Below 0 where the common length of `left` comes first, above 0 where that of `right` does.
    private static func order(_ left: String, _ right: String) -> Int32 {
        var (left, right) = (left, right)
        return left.withUTF8 { left in
            right.withUTF8 { right in
                guard let start = left.baseAddress, let other = right.baseAddress else { return 0 }
                return memcmp(start, other, min(left.count, right.count))
            }
        }
    }
}
