// SPDX-License-Identifier: Apache-2.0
import HTTP1

/// A head and the lines noted of it say the same.
enum LineLaw {
    /// - Parameter bytes: begin with the head; its lines may be none.
    static func agrees(_ bytes: Span<UInt8>, _ lines: borrowing HeadLines) -> Bool {
        guard lines.headCount > 0 else { return true }
        let isRequest = bytes.count < 5 || !lowercasedEquals(bytes.extracting(first: 5), "http/")
        return isRequest ? requestAgrees(bytes, lines) : responseAgrees(bytes, lines)
    }

    private static func requestAgrees(_ bytes: Span<UInt8>, _ lines: borrowing HeadLines) -> Bool {
        var fields = FieldTable()
        var others = FieldTable()
        do throws(SyntaxError) {
            let head = try readRequestHead(bytes, lines: lines, limits: HeadLimits(), fields: &fields)
            let progress = try? parseRequestHead(bytes, alreadySeen: 0, limits: HeadLimits(), fields: &others)
            guard case .complete(head) = progress else { return false }
            return areSame(fields, others)
        } catch {
            do throws(SyntaxError) {
                _ = try parseRequestHead(bytes, alreadySeen: 0, limits: HeadLimits(), fields: &others)
                return false
            } catch let other {
                return "\(error)" == "\(other)"
            }
        }
    }

    private static func responseAgrees(_ bytes: Span<UInt8>, _ lines: borrowing HeadLines) -> Bool {
        var fields = FieldTable()
        var others = FieldTable()
        do throws(SyntaxError) {
            let head = try readResponseHead(
                bytes, lines: lines, requestMethod: .get, limits: HeadLimits(), fields: &fields)
            let progress = try? parseResponseHead(
                bytes, alreadySeen: 0, requestMethod: .get, limits: HeadLimits(), fields: &others)
            guard case .complete(head) = progress else { return false }
            return areSame(fields, others)
        } catch {
            do throws(SyntaxError) {
                _ = try parseResponseHead(
                    bytes, alreadySeen: 0, requestMethod: .get, limits: HeadLimits(), fields: &others)
                return false
            } catch let other {
                return "\(error)" == "\(other)"
            }
        }
    }

    private static func areSame(_ left: borrowing FieldTable, _ right: borrowing FieldTable) -> Bool {
        guard left.count == right.count else { return false }
        for index in 0..<left.count where !isSame(left[index], right[index]) { return false }
        return true
    }

    /// Where a head of HTTP/1.1 is copied, blanks behind a value stay in its line.
    private static func isSame(_ left: FieldTable.Field, _ right: FieldTable.Field) -> Bool {
        left.name == right.name && left.value == right.value && left.kind == right.kind
            && left.isForwarded == right.isForwarded && left.line.start == right.line.start
    }
}
