// SPDX-License-Identifier: Apache-2.0
import CLibevent
import CSystem
import Glibc

/// Tells when one of some files may be another than before: it has been written or replaced, or a symbolic link on the
/// way to it has, as Kubernetes does with `..data`.
///
/// Watches directories and not files, because a file that is replaced is another one. A directory above them that is
/// renamed as a whole is not seen.
@safe
public final class FileWatch {
    /// Events of one read; more come with the next.
    private static let bufferBytes = 8192
    /// Links on the way to one file, as in Linux.
    private static let linkLimit = 40

    private let descriptor: Descriptor
    private let changed: () -> Void
    private var source: EventSource?
    /// By the kernel's numbers: names in a directory that matter.
    private var names: [CInt: Set<String>] = [:]
    private var bytes = [UInt64](repeating: 0, count: bufferBytes / 8)  // aligned for the kernel's structure

    /// - Parameter changed: runs on the loop's thread; often more than once for a change.
    public init(on loop: EventLoop, changed: @escaping () -> Void) throws(EventLoopError) {
        let number = sys_inotify()
        guard number >= 0 else { throw .system(call: "inotify_init1", errno: errno) }
        descriptor = Descriptor(owning: number)
        self.changed = changed
        source = try EventSource(number, EV_READ | EV_PERSIST, on: loop) { [unowned self] in read() }
        source?.enable()
    }

    deinit { source = nil }  // leaves the loop before the descriptor closes

    /// Watches these files and no others. To be called after each change, and before the files are read: links lead
    /// elsewhere then, and what comes later is told.
    ///
    /// - Returns: false if some cannot be watched.
    public func watch(_ paths: [String]) -> Bool {
        var next: [CInt: Set<String>] = [:]
        var isWhole = true
        for path in Set(paths) where !follow(path, into: &next) { isWhole = false }
        for number in names.keys where next[number] == nil { _ = inotify_rm_watch(descriptor.rawValue, number) }
        names = next
        return isWhole
    }

    // MARK: The way to a file

    /// Watches each link on the way, the file, and where the way ends the first name that is missing. A directory is
    /// watched before its entry is looked at.
    private func follow(_ path: String, into next: inout [CInt: Set<String>]) -> Bool {
        var place = path.hasPrefix("/") ? "/" : "."
        var rest = Self.parts(path)
        var links = 0
        while let name = rest.popLast() {
            let entry = place == "/" ? "/\(name)" : "\(place)/\(name)"
            if !rest.isEmpty, Self.kind(entry) == S_IFDIR {
                place = entry
                continue
            }
            let number = unsafe sys_inotify_watch(descriptor.rawValue, place)
            guard number >= 0 else { return false }
            next[number, default: []].insert(name)
            guard let target = Self.target(of: entry) else { return true }
            links += 1
            guard links <= Self.linkLimit else { return true }
            if target.hasPrefix("/") { place = "/" }
            rest += Self.parts(target)
        }
        return true
    }

    /// The last one first.
    private static func parts(_ path: String) -> [String] {
        path.split(separator: "/").filter { $0 != "." }.map(String.init).reversed()
    }

    private static func kind(_ path: String) -> mode_t {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    /// `nil` if it is no symbolic link.
    private static func target(of path: String) -> String? {
        var text = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe text.withUnsafeMutableBytes { room -> Int in
            let start = unsafe room.assumingMemoryBound(to: CChar.self).baseAddress
            return unsafe start.map { unsafe readlink(path, $0, room.count) } ?? -1
        }
        return count > 0 ? String(decoding: text.prefix(count), as: UTF8.self) : nil
    }

    // MARK: Events

    private func read() {
        var isNews = false
        while true {
            let count = unsafe bytes.withUnsafeMutableBytes { room in
                unsafe Glibc.read(descriptor.rawValue, room.baseAddress, room.count)
            }
            guard count > 0 else { break }
            if take(count) { isNews = true }
        }
        if isNews { changed() }
    }

    /// - Returns: whether one of the events matters.
    private func take(_ count: Int) -> Bool {
        unsafe bytes.withUnsafeBytes { raw -> Bool in
            guard let base = raw.baseAddress else { return false }
            var (start, isNews) = (0, false)
            while start < count {
                var number: CInt = -1
                var name: UnsafePointer<CChar>?
                let taken = unsafe sys_inotify_event(base + start, count - start, &number, &name)
                guard taken > 0 else { break }
                if matters(number, unsafe name.map { unsafe String(cString: $0) } ?? "") { isNews = true }
                start += taken
            }
            return isNews
        }
    }

    /// - Parameter number: -1: events were lost.
    private func matters(_ number: CInt, _ name: String) -> Bool {
        guard number >= 0 else { return true }
        guard let watched = names[number] else { return false }
        return name.isEmpty || watched.contains(name)
    }
}
