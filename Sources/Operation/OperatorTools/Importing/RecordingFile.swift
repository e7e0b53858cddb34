import Compression
import Glibc
import SystemIO
package import TraceModel

/// A recording in a file, plain or compressed by its first bytes, whatever its name, or that comes through a pipe.
package struct RecordingFile {
    package let path: String
    package let bytes: any ByteSource
    private let file: FileByteSource

    /// `path`: `-` for standard input. Blocks until the first bytes are there, or `stop` is raised.
    package init(_ path: String, stop: StopSignal? = nil) throws {
        self.path = path
        file = try FileByteSource(path, stop: stop)
        let first = try file.firstBytes(FileCompression.magicBytes)
        if let compression = FileCompression(magic: first) {
            bytes = try ExpandedByteSource(file, compression)
        } else {
            bytes = file
        }
    }

    /// Where there is no standard input, a descriptor of the program's own libraries has its place, which is of no kind of file.
    /// - Throws: `TraceError(.configuration)` where `path` means standard input and that is closed.
    package static func checkStandardInput(_ path: String) throws {
        guard path == FileByteSource.standardInput else { return }
        var info = stat()
        guard unsafe fstat(STDIN_FILENO, &info) < 0 || info.st_mode & S_IFMT == 0 else { return }
        throw TraceError(
            .configuration,
            "There is no standard input",
            remedy: "Name a file, or pipe the recording in"
        )
    }

    /// When the file was last written; now, where it is a pipe.
    package var modified: EpochNanoseconds { file.modified ?? WallClock.now() }

    /// Whether `modified` is a file's time.
    package var isFile: Bool { file.modified != nil }

    /// Runs what reads the file, with its name in the errors about its content.
    package func naming<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let failure as JSONReadFailure {
            throw TraceError(.invalidArgument, "\(path): not valid JSON: \(failure)")
        } catch let error as TraceError {
            throw TraceError(
                error.code,
                "\(path): \(error.message)",
                remedy: error.remedy,
                cause: error.cause
            )
        }
    }
}
