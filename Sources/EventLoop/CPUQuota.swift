// SPDX-License-Identifier: Apache-2.0

/// The CPU time a container or service may use, in CPUs: the smallest quota among the control
/// groups this process is in and those around them.
///
/// A proxy with more threads than that is stopped for the rest of each period, with requests in flight.
struct CPUQuota {
    /// Where the control groups are mounted; a test has its own.
    var root = "/sys/fs/cgroup"
    /// `/proc/self/cgroup`: lines of `number:controllers:path`.
    var membership = "/proc/self/cgroup"

    /// Rounded up and at least 1; `nil` without a quota.
    var cpus: Int? {
        guard let text = SmallFile.text(membership) else { return nil }
        return text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            return parts.count == 3 ? quota(controllers: parts[1], path: parts[2]) : nil
        }.min()
    }

    /// Of one hierarchy. Version 2 is the one that names no controllers.
    private func quota(controllers: Substring, path: Substring) -> Int? {
        if controllers.isEmpty { return smallest(above: path, in: root, Self.version2) }
        guard controllers.split(separator: ",").contains("cpu") else { return nil }
        // Mounted by all its controllers or, by a link, by this one.
        return smallest(above: path, in: "\(root)/\(controllers)", Self.version1)
            ?? smallest(above: path, in: "\(root)/cpu", Self.version1)
    }

    /// The group itself and each one around it. A container may see its own group as the root while
    /// its path is still the host's: what cannot be read sets no limit.
    private func smallest(above path: Substring, in mount: String, _ read: (String) -> Int?) -> Int? {
        var names = path.split(separator: "/")
        var found: Int?
        while true {
            let folder = names.reduce(mount) { "\($0)/\($1)" }
            if let cpus = read(folder) { found = min(found ?? cpus, cpus) }
            guard names.popLast() != nil else { return found }
        }
    }

    /// `max 100000` or `150000 100000`: microseconds of each period.
    private static func version2(_ folder: String) -> Int? {
        let words = SmallFile.text("\(folder)/cpu.max")?.split { $0 == " " || $0 == "\n" } ?? []
        return words.count == 2 ? cpus(words[0], words[1]) : nil
    }

    /// -1 is no quota.
    private static func version1(_ folder: String) -> Int? {
        guard let quota = SmallFile.text("\(folder)/cpu.cfs_quota_us"),
            let period = SmallFile.text("\(folder)/cpu.cfs_period_us")
        else { return nil }
        return cpus(quota.prefix { $0 != "\n" }, period.prefix { $0 != "\n" })
    }

    private static func cpus(_ quota: Substring, _ period: Substring) -> Int? {
        guard let quota = Int32(quota), let period = Int32(period), quota > 0, period > 0 else { return nil }
        return (Int(quota) + Int(period) - 1) / Int(period)
    }
}
