#if DEBUG
/// What takes the kernel's place under `File`, `FileSystem` and `WallClock` in a simulation. Each function
/// does what the system call of its name does and throws what that would fail with; where a write fails, a
/// part of it may have been done. Debug builds only: a release build always asks the kernel.
package protocol SystemDriver: AnyObject, Sendable {
    func open(_ path: String, _ access: File.Access) throws(SystemError) -> Int32
    func close(_ descriptor: Int32)
    func size(_ descriptor: Int32) throws(SystemError) -> Int
    func write(
        _ descriptor: Int32,
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError)
    func read(
        _ descriptor: Int32,
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(SystemError) -> Int
    func syncData(_ descriptor: Int32) throws(SystemError)
    func truncate(_ descriptor: Int32, to size: Int) throws(SystemError)

    func exists(_ path: String) -> Bool
    func size(of path: String) -> Int?
    func makeDirectory(_ path: String) throws(SystemError)
    func list(_ path: String) throws(SystemError) -> [String]
    func rename(_ from: String, to: String) throws(SystemError)
    func remove(_ path: String) throws(SystemError)
    func syncDirectory(_ path: String) throws(SystemError)
    func freeBytes(at path: String) throws(SystemError) -> Int

    /// Nanoseconds, for both clocks.
    func clock() -> Int64
}

/// The driver in force for the current task, and for the code it calls on its own thread.
package enum Simulation {
    @TaskLocal package static var driver: (any SystemDriver)?
}
#endif
