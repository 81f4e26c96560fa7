// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import EventLoop

@Suite("CPU quotas of control groups")
struct CPUQuotaTests {
    struct Groups: CustomTestStringConvertible {
        var name: String
        var membership: String
        var files: [String: String]
        var cpus: Int?
        var testDescription: String { name }
    }

    @Test(
        "The smallest quota around the process counts, rounded up",
        arguments: [
            Groups(name: "version 2", membership: "0::/\n", files: ["cpu.max": "150000 100000\n"], cpus: 2),
            Groups(name: "a hundredth", membership: "0::/\n", files: ["cpu.max": "1000 100000\n"], cpus: 1),
            Groups(name: "whole CPUs", membership: "0::/\n", files: ["cpu.max": "200000 50000\n"], cpus: 4),
            Groups(name: "no quota", membership: "0::/\n", files: ["cpu.max": "max 100000\n"], cpus: nil),
            Groups(
                name: "a service below a slice", membership: "0::/a.slice/b.service\n",
                files: ["a.slice/cpu.max": "300000 100000\n", "a.slice/b.service/cpu.max": "max 100000\n"], cpus: 3),
            Groups(
                name: "the host's path in a container", membership: "0::/kubepods/pod1/c1\n",
                files: ["cpu.max": "250000 100000\n"], cpus: 3),
            Groups(
                name: "version 1", membership: "4:memory:/x\n2:cpu,cpuacct:/docker/1\n1:name=systemd:/\n0::/\n",
                files: [
                    "cpu,cpuacct/docker/1/cpu.cfs_quota_us": "50000\n",
                    "cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
                    "cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                ], cpus: 1),
            Groups(
                name: "version 1 by its link", membership: "2:cpuacct,cpu:/\n",
                files: ["cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"], cpus: 3),
            Groups(
                name: "version 1 without quota", membership: "2:cpu:/\n",
                files: ["cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"], cpus: nil),
            Groups(name: "nonsense", membership: "x\n0::/\n", files: ["cpu.max": "9999999999999 0\n"], cpus: nil),
            Groups(name: "nothing to read", membership: "0::/\n", files: [:], cpus: nil),
        ])
    func quotas(_ groups: Groups) throws {
        let folder = try TemporaryFolder()
        for (name, text) in groups.files {
            let file = URL(filePath: "\(folder.path)/root/\(name)")
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: false, encoding: .utf8)
        }
        let membership = try folder.write(groups.membership, to: "membership")
        #expect(CPUQuota(root: "\(folder.path)/root", membership: membership).cpus == groups.cpus)
    }

    @Test("No process may use less than one CPU or more than its affinity")
    func bounds() {
        let online = ProcessInfo.processInfo.processorCount
        #expect((1...max(1, online)).contains(Host.allowedCPUs))
    }
}
