// SPDX-License-Identifier: Apache-2.0
import SpanEmitter

extension SpanFigures {
    init(_ accounting: SpanAccounting) { self.init(started: accounting.started, exporters: []) }
}
