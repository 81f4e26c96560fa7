// SPDX-License-Identifier: Apache-2.0
import EventLoop

func copy(_ span: Span<UInt8>) -> [UInt8] {
    [UInt8](capacity: span.count) { out in
        for index in span.indices { out.append(span[index]) }
    }
}

/// Of a class's buffer, which can be lent as a parameter only.
func copy(_ buffer: borrowing Buffer, first count: Int = .max) -> [UInt8] {
    copy(buffer.readable.extracting(first: count))
}
