// SPDX-License-Identifier: Apache-2.0

/// Lists of route numbers in one flat array, so that none of them is counted up and down.
// bounded: lists and positions come from init and range(of:) alone
struct RouteLists: Sendable {
    private var numbers: [Int32] = []
    /// Where each list begins, and where the last one ends.
    private var bounds: [Int32] = [0]

    init(_ lists: [[Int]]) {
        for list in lists {
            numbers += list.map { Int32($0) }
            bounds.append(Int32(numbers.count))
        }
    }

    var isEmpty: Bool { numbers.isEmpty }

    /// Positions of the numbers of one list.
    func range(of list: Int) -> Range<Int> { Int(bounds.span[list])..<Int(bounds.span[list + 1]) }

    subscript(position: Int) -> Int { Int(numbers.span[position]) }
}
