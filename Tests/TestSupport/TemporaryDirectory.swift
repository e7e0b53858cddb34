import Foundation

/// The directory of one test, removed with the object.
package final class TemporaryDirectory: Sendable {
    /// The absolute path; short, because socket paths are bounded.
    package let path: String

    package init() throws {
        path = "\(NSTemporaryDirectory())trace-\(UUID().uuidString.prefix(12))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Runs `body` with this as the working directory of the calling thread only, so that tests with different ones run
    /// concurrently. Threads that `body` starts share it, and must have ended when it returns.
    package func asWorkingDirectory<Result>(_ body: () throws -> Result) throws -> Result {
        let before = FileManager.default.currentDirectoryPath
        try detachWorkingDirectory()
        defer { _ = chdir(before) }
        try attempt("chdir") { chdir(path) }
        return try body()
    }

    /// Gives the calling thread a working directory of its own, which Linux supports once a thread has stopped sharing
    /// that of the process.
    private func detachWorkingDirectory() throws {
        typealias Unshare = @convention(c) (CInt) -> CInt
        // Swift's Glibc module does not declare it.
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
