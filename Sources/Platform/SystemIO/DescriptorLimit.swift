import Glibc

/// The limit of descriptors that this process may have open.
package enum DescriptorLimit {
    /// Raises the limit to `wanted`, or to the hard limit if that is lower. Returns the resulting limit.
    package static func raise(to wanted: UInt) -> UInt {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return 1_024
        }
        let target = min(wanted, UInt(limit.rlim_max))
        if limit.rlim_cur < target {
            limit.rlim_cur = rlim_t(target)
            _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return UInt(limit.rlim_cur)
    }
}
