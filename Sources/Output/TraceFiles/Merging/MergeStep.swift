/// What a merge has just done; tests stop it there.
enum MergeStep: Equatable {
    case prepared(kind: OutputKind, host: String)
    case manifestSynced
    case renamed(target: String)
    case directoriesSynced
    case markedDone
    case removed(segment: String)
}
