// SPDX-License-Identifier: Apache-2.0
import EventLoop

// A span of a class's buffer may not outlive the access to the property; as a parameter the buffer can be lent.

/// Appends one buffer to another; answers how many bytes found room.
func append(_ source: borrowing Buffer, to target: inout Buffer) -> Int { target.append(copying: source.readable) }

/// Moves the first bytes of a buffer to another that has room for them.
func move(first count: Int, of source: inout Buffer, to target: inout Buffer) {
    let moved = target.append(copying: source.readable.extracting(first: count))
    source.consume(moved)
}

func lend(_ buffer: borrowing Buffer, to read: (Span<UInt8>) -> Void) { read(buffer.readable) }

func lendBytes<Result>(_ buffer: borrowing Buffer, to read: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    unsafe buffer.readable.withUnsafeBufferPointer { unsafe read($0) }
}

func lendBytes<Result>(
    _ buffer: borrowing Buffer, with lines: borrowing SentLines,
    to read: (UnsafeBufferPointer<UInt8>, borrowing SentLines) -> Result
) -> Result {
    unsafe buffer.readable.withUnsafeBufferPointer { unsafe read($0, lines) }
}
