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

    /// A core dump would hold secrets, and what passed through us.
    public static func refuseCoreDumps() { sys_refuse_core_dumps() }

    /// Other processes of this user may neither trace this one nor read its memory, which holds private keys.
    public static func hideMemory() { sys_hide_memory() }

    /// A crash ends the process at once, so that its supervisor can start another. Swift's runtime would first write a report,
    /// with the bytes that registers point to, and may take minutes for it while callers wait. `SWIFT_BACKTRACE` in the
    /// environment asks for that report.
    public static func endAtOnceOnCrash() {
        guard unsafe getenv("SWIFT_BACKTRACE") == nil else { return }
        for number in [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] { _ = signal(number, SIG_DFL) }
    }

    /// Whether this process may do everything on the machine.
    public static var isRoot: Bool { geteuid() == 0 }

    /// Gives the kernel back what was allocated for a while and is free again. To be called once before there are other
    /// threads: beneath a sanitizer, which allocates by itself, the first call sets libc's allocator up.
    public static func returnFreeMemory() { sys_return_free_memory() }

    /// Until somebody listens for it, SIGHUP must not end the process.
    public static func ignoreHangUps() { _ = signal(SIGHUP, SIG_IGN) }

    /// A write to a closed pipe or socket must be an error, not the end of the process.
    public static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }
}
