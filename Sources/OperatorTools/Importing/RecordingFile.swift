package import TraceModel

/// A recording on disk, plain or gzip by its first bytes, whatever its name.
package struct RecordingFile {
    package let path: String
    package let bytes: any ByteSource
    /// When it was last written.
    package let modified: EpochNanoseconds

    package init(_ path: String) throws {
        self.path = path
        let file = try FileByteSource(path)
        modified = try file.modified()
        bytes = try GzipByteSource.isGzip(file) ? GzipByteSource(file) : file
    }

    /// Runs what reads the file, with its name in the errors about its content.
    package func naming<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let failure as JSONReadFailure {
            throw TraceError(.invalidArgument, "\(path): not valid JSON: \(failure)")
        } catch let error as TraceError {
            throw TraceError(error.code, "\(path): \(error.message)", remedy: error.remedy)
        }
    }
}
