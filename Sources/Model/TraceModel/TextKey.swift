import Glibc

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
    package static func areEqual(_ left: String, _ right: String) -> Bool {
        TextKey(left) == TextKey(right)
    }

    /// `<` of keys, for texts in a row.
    package static func areInOrder(_ left: String, _ right: String) -> Bool {
        TextKey(left) < TextKey(right)
    }

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
