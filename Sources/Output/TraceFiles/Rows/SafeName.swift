import TraceModel

/// Makes a part of a file name from a host's name. Distinct hosts get distinct names. No result can be read as the
/// number that a window's stem may end in (`_2`, `_3`, …), which precedes the host in a file name.
enum SafeName {
    private static let lengthMax = 100
    private static let digestBytes = 16

    /// Keeps letters, digits, `.`, `-` and `_`. Appends `-` and 32 hexadecimal digits of a digest of the whole name if
    /// other characters were replaced, or if the kept text could collide: it consists of digits, or starts with digits
    /// and `_`, or ends like a digest.
    static func of(_ name: String) -> String {
        let text = kept(name)
        let isPlain = text.utf8.elementsEqual(name.utf8) && !name.isEmpty
        return isPlain && !beginsAsNumber(text) && !endsAsDigest(text)
            ? text : "\(text)-\(digest(Array(name.utf8)))"
    }

    /// Returns the name for this machine's own files if another host uses its name. No host's name maps to it.
    static func ofThisMachine(_ name: String) -> String {
        // No valid UTF-8 contains this byte.
        "\(kept(name))-\(digest([0xFF] + name.utf8))"
    }

    private static func kept(_ name: String) -> String {
        let bytes = name.utf8.prefix(lengthMax).map { isSafe($0) ? $0 : UInt8(ascii: "_") }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func beginsAsNumber(_ text: String) -> Bool {
        let rest = text.utf8.drop { isDigit($0) }
        return rest.count < text.utf8.count && (rest.isEmpty || rest.first == UInt8(ascii: "_"))
    }

    private static func endsAsDigest(_ text: String) -> Bool {
        let ending = text.utf8.suffix(2 * digestBytes + 1)
        return ending.count == 2 * digestBytes + 1 && ending.first == UInt8(ascii: "-")
            && ending.dropFirst().allSatisfy {
                isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    private static func digest(_ bytes: [UInt8]) -> String {
        SHA256.digest(bytes).prefix(digestBytes).map {
            ($0 < 16 ? "0" : "") + String($0, radix: 16)
        }.joined()
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    static func isSafe(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// SHA-256 (FIPS 180-4) of short byte strings, so that nobody can construct two names with the same digest. Slow; used
/// for file names only.
enum SHA256 {
    private static let constants: [UInt32] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4,
        0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7,
        0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc,
        0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351,
        0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e,
        0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585,
        0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f,
        0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7,
        0xc671_78f2,
    ]

    /// Returns the 32 bytes of the digest.
    static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var message = bytes + [0x80]
        while message.count % 64 != 56 { message.append(0) }
        unsafe withUnsafeBytes(of: (UInt64(bytes.count) * 8).bigEndian) { unsafe message += $0 }
        var state: [UInt32] = [
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c,
            0x1f83_d9ab, 0x5be0_cd19,
        ]
        for start in stride(from: 0, to: message.count, by: 64) {
            mix(message[start..<start + 64], into: &state)
        }
        return state.flatMap { word in
            unsafe withUnsafeBytes(of: word.bigEndian) { unsafe Array($0) }
        }
    }

    private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
        var words = stride(from: block.startIndex, to: block.endIndex, by: 4).map { at in
            block[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
        for at in 16..<64 {
            let (early, late) = (words[at - 15], words[at - 2])
            let first = turn(early, 7) ^ turn(early, 18) ^ early >> 3
            let second = turn(late, 17) ^ turn(late, 19) ^ late >> 10
            words.append(words[at - 16] &+ first &+ words[at - 7] &+ second)
        }
        var next = state
        for at in 0..<64 {
            let (a, e) = (next[0], next[4])
            let choice = e & next[5] ^ ~e & next[6]
            let majority = a & next[1] ^ a & next[2] ^ next[1] & next[2]
            let first =
                next[7] &+ (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) &+ choice &+ constants[at]
                &+ words[at]
            let second = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) &+ majority
            next = [first &+ second, a, next[1], next[2], next[3] &+ first, e, next[5], next[6]]
        }
        for at in state.indices { state[at] &+= next[at] }
    }

    private static func turn(_ word: UInt32, _ bits: UInt32) -> UInt32 {
        word >> bits | word << (32 - bits)
    }
}
