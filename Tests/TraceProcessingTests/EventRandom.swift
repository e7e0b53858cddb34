/// SplitMix64 (public domain, Vigna): the same numbers for the same seed, on every machine.
struct EventRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var x = state
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }

    mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }

    mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[Int(below(UInt64(choices.count)))]
    }

    mutating func isOne(in chances: UInt64) -> Bool { below(chances) == 0 }
}
