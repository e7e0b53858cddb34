/// A thread of a recording: process id and thread id as the file has them.
package struct RecordedThread: Hashable, Sendable {
    package let pid: UInt32
    package let tid: UInt32

    package init(pid: UInt32, tid: UInt32) {
        self.pid = pid
        self.tid = tid
    }
}
