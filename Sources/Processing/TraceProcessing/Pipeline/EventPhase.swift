/// The phase of an event in a Chrome trace, as its character.
enum EventPhase: UInt8 {
    case begin = 0x42  // B
    case end = 0x45  // E
    case instant = 0x69  // i
}
