import AgentEmulator
import Testing
import TraceModel
import TraceWire

@Suite struct PairProofTests {
    /// Feeds events of one thread, each a millisecond after the one before.
    private func pairs(
        _ dialect: Semantics,
        _ steps: [(function: ProgramFunction, began: Int64?, count: UInt64)]
    ) -> [PairProof.Pair] {
        var proof = PairProof(dialect)
        for (number, step) in steps.enumerated() {
            var event = BatchEncoder.Function()
            event.eventType = step.began == nil ? 0 : 1
            event.cookie = step.function.cookie
            event.callCount = step.count
            let action: Action =
                step.began.map { .leave(step.function, began: $0) } ?? .enter(step.function)
            let happening = Happening(
                time: Int64(number) * 1_000,
                process: 0,
                thread: 1,
                action: action
            )
            proof.note(event, happening)
        }
        return proof.pairs
    }

    @Test func equalCountsProveAPair() {
        let found = pairs(
            .neutracer,
            [(.parse, nil, 1), (.decode, nil, 4), (.decode, 1_000, 4), (.parse, 0, 1)]
        )
        #expect(found.map(\.function) == [.decode, .parse])
        #expect(found.map(\.milliseconds) == [1, 3])
        #expect(found.allSatisfy { $0.isOneCall })
    }

    @Test func otherCountsDoNot() {
        #expect(pairs(.neutracer, [(.parse, nil, 1), (.parse, 0, 2)]).isEmpty)
        #expect(pairs(.cumulative, [(.parse, nil, 1), (.parse, 0, 2)]).count == 1)
    }

    @Test func anExitClosesWhatIsOpenInside() {
        let found = pairs(
            .neutracer,
            [(.parse, nil, 1), (.decode, nil, 4), (.parse, 0, 1), (.decode, 1_000, 4)]
        )
        #expect(found.map(\.function) == [.parse])
    }

    @Test func recursionPairsTheInnermostFirst() {
        let found = pairs(
            .cumulative,
            [(.traverse, nil, 1), (.traverse, nil, 2), (.traverse, 1_000, 2), (.traverse, 0, 2)]
        )
        #expect(found.map(\.milliseconds) == [1, 3])
        #expect(found.allSatisfy { $0.isOneCall })
    }

    /// The exit of the inner call was skipped: the outer one's has the same count.
    @Test func equalCountsOfRecursiveCallsProveTooMuch() {
        let found = pairs(
            .neutracer,
            [(.traverse, nil, 1), (.traverse, nil, 2), (.traverse, 0, 2)]
        )
        #expect(found.map(\.isOneCall) == [false])
    }
}
