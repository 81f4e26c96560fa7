// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// What the machine allows this process.
public enum Host {
    /// CPUs this process may run on by its affinity mask, or fewer where a CPU quota gives it less time.
    public static var allowedCPUs: Int {
        let cpus = Int(sys_allowed_cpus())
        return min(cpus, CPUQuota().cpus ?? cpus)
    }

    /// Raises the soft limit of open descriptors to the hard one; answers the limit now in force.
    public static func raiseDescriptorLimit() -> Int { Int(clamping: sys_raise_descriptor_limit()) }

    /// A write to a closed pipe or socket must be an error, not the end of the process.
    public static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }
}
