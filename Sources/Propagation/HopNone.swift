// SPDX-License-Identifier: Apache-2.0

extension Hop {
    /// Of an exchange that has not begun.
    public static let none = Hop(
        Extracted(), traceID: .none, sampling: .deny, mode: .newChild, newID: .none)
}
