import Foundation

/// A directory of one test, removed with it.
package final class TemporaryDirectory: Sendable {
    /// Absolute; short, as socket paths are bounded.
    package let path: String

    package init() throws {
        path = "\(NSTemporaryDirectory())trace-\(UUID().uuidString.prefix(12))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Runs `body` with this as the working directory of the calling thread alone, so that tests that
    /// need different ones run side by side. Threads that `body` starts share it: they must have ended
    /// when it returns.
    package func asWorkingDirectory<Result>(_ body: () throws -> Result) throws -> Result {
        let before = FileManager.default.currentDirectoryPath
        try detachWorkingDirectory()
        defer { _ = chdir(before) }
        try attempt("chdir") { chdir(path) }
        return try body()
    }

    /// Linux keeps a working directory a thread, once a thread has stopped sharing the process's.
    private func detachWorkingDirectory() throws {
        typealias Unshare = @convention(c) (CInt) -> CInt
        // Swift's Glibc module leaves it out.
        guard let symbol = dlsym(nil, "unshare") else { throw CocoaError(.featureUnsupported) }
        let unshare = unsafeBitCast(symbol, to: Unshare.self)
        let workingDirectory: CInt = 0x200  // CLONE_FS
        try attempt("unshare") { unshare(workingDirectory) }
    }

    private func attempt(_ call: String, _ body: () -> CInt) throws {
        guard body() != 0 else { return }
        throw NSError(domain: "\(call): \(String(cString: strerror(errno)))", code: Int(errno))
    }
}
