import Glibc

/// A view of bytes owned by somebody else, valid as long as the buffer they are in. Trivial, so that decoded events can
/// be stored in raw arrays.
@safe
@usableFromInline package struct ByteView {
    @usableFromInline package let start: UnsafeRawPointer?
    @usableFromInline package let count: Int

    @inlinable package init(start: UnsafeRawPointer?, count: Int) {
        unsafe self.start = unsafe start
        self.count = count
    }

    @inlinable package init(_ buffer: UnsafeRawBufferPointer) {
        unsafe self.init(start: buffer.baseAddress, count: buffer.count)
    }

    @inlinable package static var empty: ByteView { unsafe ByteView(start: nil, count: 0) }

    @inlinable package var isEmpty: Bool { count == 0 }

    @inlinable package var buffer: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: start, count: count)
    }

    /// Returns the first `limit` bytes, cut at a UTF-8 scalar boundary.
    @inlinable @inline(__always) package func cut(at limit: Int) -> ByteView {
        count > limit ? beginning(limit) : self
    }

    @inline(never) @usableFromInline func beginning(_ limit: Int) -> ByteView {
        guard let start = unsafe start else { return self }
        var end = limit
        while end > 0, unsafe start.load(fromByteOffset: end, as: UInt8.self) & 0xC0 == 0x80 {
            end -= 1
        }
        return unsafe ByteView(start: start, count: end)
    }

    /// A copy as text; invalid UTF-8 becomes U+FFFD.
    package var string: String { unsafe String(decoding: buffer, as: UTF8.self) }
}

/// A text that is compared, ordered and hashed by its bytes. `String` treats canonically equivalent Unicode as equal
/// (`é` as one scalar or two), so that distinct names would collide as keys.
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

    /// Compares two texts by their bytes.
    package static func areEqual(_ left: String, _ right: String) -> Bool {
        TextKey(left) == TextKey(right)
    }

    /// Orders two texts by their bytes.
    package static func areInOrder(_ left: String, _ right: String) -> Bool {
        TextKey(left) < TextKey(right)
    }

    /// Hashes the text's bytes and their number.
    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        // The length separates texts that are hashed one after another.
        hasher.combine(text.utf8.count)
    }

    /// Compares up to the shorter length: negative if `left` sorts first, positive if `right` does.
    private static func order(_ left: String, _ right: String) -> Int32 {
        var (left, right) = (left, right)
        return left.withUTF8 { left in
            right.withUTF8 { right in
                guard let start = left.baseAddress, let other = right.baseAddress else { return 0 }
                return unsafe memcmp(start, other, min(left.count, right.count))
            }
        }
    }
}
