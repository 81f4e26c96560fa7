// SPDX-License-Identifier: Apache-2.0

/// How often each limit was reached, by ``HTTP2Limit/rawValue``.
public typealias HTTP2LimitCounts = InlineArray<12, UInt64>
