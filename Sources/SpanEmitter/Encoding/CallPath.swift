// SPDX-License-Identifier: Apache-2.0

/// The path of a gRPC call, `/pkg.Service/Method`, in parts.
struct CallPath: ~Escapable {
    /// Without the slash at its beginning.
    let name: Span<UInt8>
    /// Where the last slash stands in the name; 0 without one.
    private let slash: Int

    // bounded: the slash is searched from the name's end down
    @_lifetime(copy path)
    init(_ path: Span<UInt8>) {
        let hasSlash = !path.isEmpty && path[0] == UInt8(ascii: "/")
        name = path.extracting(droppingFirst: hasSlash ? 1 : 0)
        var index = name.count
        while index > 0, name[index - 1] != UInt8(ascii: "/") { index -= 1 }
        slash = max(0, index - 1)
    }

    /// Empty when the path is not of that form.
    var service: Span<UInt8> {
        @_lifetime(copy self)
        get { name.extracting(first: slash) }
    }

    /// All of the name when the path is not of that form.
    var method: Span<UInt8> {
        @_lifetime(copy self)
        get { name.extracting(droppingFirst: slash == 0 ? 0 : slash + 1) }
    }
}
