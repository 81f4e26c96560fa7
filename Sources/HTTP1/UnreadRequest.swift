// SPDX-License-Identifier: Apache-2.0

extension RequestHead {
    /// Stands for a request that could not be read.
    public static let unread = RequestHead(
        method: .get, methodText: .empty, target: .empty, path: .empty, pathCount: 0, authority: .empty,
        minorVersion: 1, framing: .none, keepAlive: false, expectsContinue: false, upgrade: .empty,
        needsLength: false, length: 0)
}
