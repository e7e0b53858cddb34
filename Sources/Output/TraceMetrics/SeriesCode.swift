// Sections of series
// ==================
//
// A message holds sections one after the other. A section: slot u8, flags u8 (1 full, 2 complete), LSN u64,
// bytes of the body u32, then the body. The body is a run of codes, each with what follows it:
//
//   0x00…0x3F  the value of that series of the group
//   0x40…0x7F  the same, with its definition before: family u16, then those of its labels that are texts
//   0x80       a group: the id of its first series, as the difference to the group before (zigzag)
//   0x81       host (text) and process id (number): labels of the series defined from here on
//   0x82       name of the process (text)
//   0x83       name of what the group is about (text)
//   0x84       host (text) and process id (number) of a process that is quiet: a full section names none of its
//              series, which come again as they are when the process does
//
// A series' id is its group's first id and its number in the group. Numbers are little-endian base 128, a text
// has its length before it. A value: a whole number below 2⁵² as twice itself, any other as 1 and the
// eight bytes of its double. A histogram: one number a bucket, then the sum as a value.

/// The codes in a section's body.
enum SeriesCode {
    static let definition: UInt8 = 0x40
    static let group: UInt8 = 0x80
    static let process: UInt8 = 0x81
    static let processName: UInt8 = 0x82
    static let name: UInt8 = 0x83
    static let quietProcess: UInt8 = 0x84

    static let isFull: UInt8 = 1
    static let isComplete: UInt8 = 2
    static let headBytes = 14
    /// Whole numbers from here on go as doubles.
    static let wholeMax = 0x1p52
}
