import Synchronization
import ZeroMQ

/// Memory that is sent without a copy; `releases` counts how often it was released.
final class SharedBytes: Sendable {
    let address: UInt
    let count: Int
    private let releases: Releases

    final class Releases: Sendable {
        let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .acquiring) }
    }

    init(count: Int, _ releases: Releases) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        for index in 0..<count { memory[index] = UInt8(truncatingIfNeeded: index &* 31) }
        address = UInt(bitPattern: memory.baseAddress)
        self.count = count
        self.releases = releases
    }

    deinit {
        UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
        releases.count.add(1, ordering: .acquiringAndReleasing)
    }

    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: count)
    }

    var frame: ZMQFrame { .retained(bytes, owner: self) }
}
