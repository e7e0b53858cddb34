/// A thread of a recording: process id and thread id as the file has them.
package struct RecordedThread: Hashable, Sendable {
    package let pid: UInt32
    package let tid: UInt32
}
