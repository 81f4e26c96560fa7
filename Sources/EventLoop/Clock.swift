// SPDX-License-Identifier: Apache-2.0
import CSystem

/// The two clocks of a span: durations come from the one that never steps.
public enum Clock {
    /// Microseconds since an arbitrary start; never goes back.
    public static var monotonicMicroseconds: UInt64 { sys_monotonic_nanoseconds() / 1000 }

    /// Microseconds since 1970-01-01T00:00:00Z; may step.
    public static var epochMicroseconds: UInt64 { sys_realtime_nanoseconds() / 1000 }
}
