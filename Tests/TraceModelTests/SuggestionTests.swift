import Testing

@testable import TraceModel

struct SuggestionTests {
    private let commands = [
        "up", "status", "finalize", "scale", "reload", "restart", "logs", "stop",
    ]

    @Test(arguments: [
        ("statsu", "status"), ("finalise", "finalize"), ("stpo", "stop"), ("Restart", "restart"),
        ("fin", "finalize"),
        ("log", "logs"),
    ]) func aMisspelledWordIsRecognised(word: String, meant: String) {
        #expect(Suggestion.nearest(to: word, among: commands) == meant)
    }

    @Test(arguments: ["frobnicate", "", "x", "stationery", String(repeating: "status", count: 20)])
    func aWordThatIsFarFromAllSuggestsNothing(word: String) {
        #expect(Suggestion.nearest(to: word, among: commands) == nil)
        #expect(Suggestion.hint(for: word, among: commands).isEmpty)
    }

    @Test func hyphensAndUnderscoresAreTheSame() {
        let hint = Suggestion.hint(for: "--retain_agee", among: ["--retain-age", "--retain-bytes"])
        #expect(hint == "; did you mean --retain-age?")
    }

    @Test func theNearestWins() {
        let known = ["retain_age", "retain_bytes"]
        #expect(Suggestion.nearest(to: "retain_byte", among: known) == "retain_bytes")
    }
}
