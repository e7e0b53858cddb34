import TraceModel

/// The texts of labels, each once, numbered. A text nobody uses any more goes, and its number is given again.
struct TextTable: Sendable {
    private(set) var texts: [String] = []
    private var users: [UInt32] = []
    private var numbers: [TextKey: UInt32] = [:]
    private var free: [UInt32] = []
    private var ranks: [UInt32] = []
    private var areRanksCurrent = true

    func number(of text: String) -> UInt32? { numbers[TextKey(text)] }

    /// The text's number, with one user more.
    mutating func hold(_ text: String) -> UInt32 {
        let key = TextKey(text)
        if let known = numbers[key] {
            users[Int(known)] += 1
            return known
        }
        areRanksCurrent = false
        let number: UInt32
        if let reused = free.popLast() {
            number = reused
            texts[Int(number)] = text
            users[Int(number)] = 1
        } else {
            number = UInt32(texts.count)
            texts.append(text)
            users.append(1)
        }
        numbers[key] = number
        return number
    }

    mutating func release(_ number: UInt32) {
        users[Int(number)] -= 1
        guard users[Int(number)] == 0 else { return }
        numbers[TextKey(texts[Int(number)])] = nil
        texts[Int(number)] = ""
        free.append(number)
    }

    /// By number: the text's place in the order of all texts. O(n log n) after a new text came.
    mutating func currentRanks() -> [UInt32] {
        if areRanksCurrent { return ranks }
        let texts = texts
        let order = texts.indices.sorted { TextKey(texts[$0]) < TextKey(texts[$1]) }
        ranks = [UInt32](repeating: 0, count: texts.count)
        for (rank, number) in order.enumerated() { ranks[number] = UInt32(rank) }
        areRanksCurrent = true
        return ranks
    }
}
