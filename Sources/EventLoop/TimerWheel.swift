// SPDX-License-Identifier: Apache-2.0
import CSystem

/// Deadlines in ticks of 100 ms, for thousands of sockets at the price of one libevent timer.
///
/// Moving a deadline further away, as every request does, only stores a number: the entry stays
/// in the slot it was filed in and is filed anew when that slot comes up. A deadline fires in
/// the first tick at or after it, so up to 300 ms late and never early. The time is that of the last turn:
/// a pass that stands still shortens the deadlines it sets afterwards by as long.
///
/// What is ready is served before a deadline is told, and may move it: after a stall the answer that
/// came in time lies beside the deadline that has passed. Thousands that are due at once, as after an
/// attack, are told a few at a time: between them the loop serves sockets that are ready.
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

    /// A table of entries that grows: an array would be asked at each store whether it is shared.
    @safe
    private struct Table: ~Copyable {
        private var base = UnsafeMutablePointer<Entry>.allocate(capacity: 16)
        private var capacity = 16
        private(set) var count: Index = 0

        subscript(index: Index) -> Entry {
            _read {
                precondition(0 <= index && index < count, "an index of the wheel is one it gave")
                yield unsafe base[Int(index)]
            }
            _modify {
                precondition(0 <= index && index < count, "an index of the wheel is one it gave")
                yield unsafe &base[Int(index)]
            }
        }

        mutating func append(_ entry: Entry) {
            if Int(count) == capacity { grow() }
            unsafe (base + Int(count)).initialize(to: entry)
            count += 1
        }

        private mutating func grow() {
            let larger = UnsafeMutablePointer<Entry>.allocate(capacity: 2 * capacity)
            unsafe larger.moveInitialize(from: base, count: Int(count))
            unsafe base.deallocate()
            unsafe base = larger
            capacity *= 2
        }

        deinit { unsafe base.deallocate() }
    }

    private var entries = Table()
    private var freeIndices: [Index] = []
    /// From ``nextDue`` on: entries to tell, and stale indices, whose entries are no longer marked due.
    private var due: [Index] = []
    private var nextDue = 0
    /// Some are due and were not told yet: ``tellSome()`` must be called soon.
    var onDue: () -> Void = {}
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
            entries[index] = entry
            return index
        }
        entries.append(entry)
        return entries.count - 1
    }

    func remove(_ index: Index) {
        unlink(index)
        entries[index].tick = Self.unfiled
        unsafe entries[index].socket = nil
        freeIndices.append(index)
    }

    /// - Parameter milliseconds: rounded up to whole ticks; `nil` means never.
    @inline(never)  // inlined, it counts references to the wheel
    func setDeadline(_ index: Index, milliseconds: Int?) {
        guard let milliseconds else {
            entries[index].deadline = 0  // the slot drops it when it comes up
            return
        }
        // Two ticks more: `now` was true when the wheel last turned, somewhere in that tick, and
        // the next turn may come late, as far as into the tick after.
        let (wait, tick) = (UInt64(clamping: milliseconds), UInt64(Self.tickMilliseconds))
        let ticks = (wait + tick - 1) / tick + 2
        let deadline = now &+ UInt32(clamping: ticks)
        entries[index].deadline = deadline
        if entries[index].tick > deadline { fileAnew(index) }  // else its slot comes up in time
    }

    @inline(never)  // hardly any request gets here
    private func fileAnew(_ index: Index) {
        unlink(index)
        file(index)
    }

    /// Brings the wheel up to the present and asks for ``tellSome()`` if anything is due.
    func turn() {
        let elapsed = (nanoseconds() - startNanoseconds) / 1_000_000
        let target = UInt32(truncatingIfNeeded: elapsed / UInt64(Self.tickMilliseconds)) + 1
        while now < target {
            now += 1
            empty(slot: Int(now) % Self.slotCount)
        }
        if nextDue < due.count { onDue() }
    }

    /// Tells at most ``turnLimit`` sockets that their deadline has passed.
    func tellSome() {
        var told = 0
        while nextDue < due.count, told < Self.turnLimit {
            let index = due[nextDue]
            nextDue += 1
            // Since it became due it may have been moved, cleared or removed.
            guard entries[index].tick == Self.isDue else { continue }
            entries[index].tick = Self.unfiled
            guard entries[index].deadline != 0 else { continue }
            entries[index].deadline = 0
            told += 1
            let socket = unsafe entries[index].socket  // what it does may let the table grow
            unsafe socket?.takeUnretainedValue().deadlinePassed()
        }
        if nextDue < due.count { return onDue() }
        due.removeAll(keepingCapacity: true)
        nextDue = 0
    }

    private func empty(slot: Int) {
        while slots[slot] >= 0 {
            let index = slots[slot]
            unlink(index)
            let entry = entries[index]
            guard entry.deadline != 0 else { continue }
            if entry.deadline > now {
                file(index)
            } else {
                entries[index].tick = Self.isDue
                due.append(index)
            }
        }
    }

    /// Files an entry under its deadline, or as far ahead as the wheel reaches.
    private func file(_ index: Index) {
        let tick = min(max(entries[index].deadline, now + 1), now + UInt32(Self.slotCount - 1))
        let slot = Int(tick) % Self.slotCount
        let head = slots[slot]
        entries[index].tick = tick
        entries[index].previous = -1
        entries[index].next = head
        if head >= 0 { entries[head].previous = index }
        slots[slot] = index
    }

    private func unlink(_ index: Index) {
        let entry = entries[index]
        guard entry.tick < Self.isDue else { return }
        if entry.previous >= 0 {
            entries[entry.previous].next = entry.next
        } else {
            slots[Int(entry.tick) % Self.slotCount] = entry.next
        }
        if entry.next >= 0 { entries[entry.next].previous = entry.previous }
        entries[index].tick = Self.unfiled
    }
}
