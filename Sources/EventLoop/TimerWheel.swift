// SPDX-License-Identifier: Apache-2.0
import CSystem

/// Deadlines in ticks of 100 ms, for thousands of sockets at the price of one libevent timer.
///
/// Moving a deadline further away, as every request does, only stores a number: the entry stays
/// in the slot it was filed in and is filed anew when that slot comes up. A deadline fires in
/// the first tick at or after it, so up to 300 ms late and never early.
///
/// Thousands that are due at once, as after an attack, are told a few at a time: between them the
/// loop serves sockets that are ready.
@safe
final class TimerWheel {
    static let tickMilliseconds = 100
    private static let slotCount = 512
    /// How many sockets are told in one turn of the loop.
    static let turnLimit = 4
    /// In place of the tick of a slot: in none.
    private static let unfiled = UInt32.max
    /// In place of the tick of a slot: due, and waits in ``due``.
    private static let isDue = UInt32.max - 1

    /// A place in the wheel; -1 is none.
    typealias Index = Int32

    @safe
    private struct Entry {
        /// Not retained: a socket leaves the wheel before it ends.
        var socket: Unmanaged<Socket>?
        /// The tick it expires in; 0 is never.
        var deadline: UInt32
        /// When the slot it is filed in comes up, or ``TimerWheel/unfiled``, or ``TimerWheel/isDue``.
        var tick: UInt32
        var next: Index
        var previous: Index
    }

    private var entries: [Entry] = []
    private var freeIndices: [Index] = []
    /// From ``nextDue`` on: entries to tell, and stale indices, whose entries are no longer marked due.
    private var due: [Index] = []
    private var nextDue = 0
    /// Some are due and were not told yet: ``tellSome()`` must be called soon.
    var onBacklog: () -> Void = {}
    private var slots = [Index](repeating: -1, count: slotCount)
    private let nanoseconds: () -> UInt64
    private let startNanoseconds: UInt64
    private(set) var now: UInt32 = 1

    /// - Parameter nanoseconds: a clock that never goes back.
    init(nanoseconds: @escaping () -> UInt64 = sys_monotonic_nanoseconds) {
        self.nanoseconds = nanoseconds
        startNanoseconds = nanoseconds()
    }

    func add(_ socket: Socket) -> Index {
        let entry = unsafe Entry(
            socket: Unmanaged.passUnretained(socket), deadline: 0, tick: Self.unfiled, next: -1, previous: -1)
        if let index = freeIndices.popLast() {
            entries[Int(index)] = entry
            return index
        }
        entries.append(entry)
        return Index(entries.count - 1)
    }

    func remove(_ index: Index) {
        unlink(index)
        entries[Int(index)].tick = Self.unfiled
        unsafe entries[Int(index)].socket = nil
        freeIndices.append(index)
    }

    /// - Parameter milliseconds: rounded up to whole ticks; `nil` means never.
    @inline(never)  // inlined, it counts references to the wheel
    func setDeadline(_ index: Index, milliseconds: Int?) {
        guard let milliseconds else {
            entries[Int(index)].deadline = 0  // the slot drops it when it comes up
            return
        }
        // Two ticks more: `now` was true when the wheel last turned, somewhere in that tick, and
        // the next turn may come late, as far as into the tick after.
        let ticks = (milliseconds + Self.tickMilliseconds - 1) / Self.tickMilliseconds + 2
        let deadline = now &+ UInt32(clamping: ticks)
        entries[Int(index)].deadline = deadline
        guard entries[Int(index)].tick > deadline else { return }  // else its slot comes up in time
        unlink(index)
        file(index)
    }

    /// Brings the wheel up to the present and expires what is due.
    func turn() {
        let elapsed = (nanoseconds() - startNanoseconds) / 1_000_000
        let target = UInt32(truncatingIfNeeded: elapsed / UInt64(Self.tickMilliseconds)) + 1
        while now < target {
            now += 1
            empty(slot: Int(now) % Self.slotCount)
        }
        if nextDue < due.count { tellSome() }
    }

    /// Tells at most ``turnLimit`` sockets that their deadline has passed.
    func tellSome() {
        var told = 0
        while nextDue < due.count, told < Self.turnLimit {
            let index = due[nextDue]
            nextDue += 1
            // Since it became due it may have been moved, cleared or removed.
            guard entries[Int(index)].tick == Self.isDue else { continue }
            entries[Int(index)].tick = Self.unfiled
            guard entries[Int(index)].deadline != 0 else { continue }
            entries[Int(index)].deadline = 0
            told += 1
            unsafe entries[Int(index)].socket?.takeUnretainedValue().deadlinePassed()
        }
        if nextDue < due.count { return onBacklog() }
        due.removeAll(keepingCapacity: true)
        nextDue = 0
    }

    private func empty(slot: Int) {
        while slots[slot] >= 0 {
            let index = slots[slot]
            unlink(index)
            let entry = entries[Int(index)]
            guard entry.deadline != 0 else { continue }
            if entry.deadline > now {
                file(index)
            } else {
                entries[Int(index)].tick = Self.isDue
                due.append(index)
            }
        }
    }

    /// Files an entry under its deadline, or as far ahead as the wheel reaches.
    private func file(_ index: Index) {
        let tick = min(max(entries[Int(index)].deadline, now + 1), now + UInt32(Self.slotCount - 1))
        let slot = Int(tick) % Self.slotCount
        let head = slots[slot]
        entries[Int(index)].tick = tick
        entries[Int(index)].previous = -1
        entries[Int(index)].next = head
        if head >= 0 { entries[Int(head)].previous = index }
        slots[slot] = index
    }

    private func unlink(_ index: Index) {
        let entry = entries[Int(index)]
        guard entry.tick < Self.isDue else { return }
        if entry.previous >= 0 {
            entries[Int(entry.previous)].next = entry.next
        } else {
            slots[Int(entry.tick) % Self.slotCount] = entry.next
        }
        if entry.next >= 0 { entries[Int(entry.next)].previous = entry.previous }
        entries[Int(index)].tick = Self.unfiled
    }
}
