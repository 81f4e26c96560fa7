// SPDX-License-Identifier: Apache-2.0
import EventLoop

/// The context of each route of one listener. Routes with the same action share one: thousands of them bring hardly any
/// memory of their own to a request.
struct RouteContexts {
    private var contexts: [RouteContext] = []
    /// Of each route, in file order: its place in `contexts`.
    private var places: [Int32] = []

    /// - Parameters:
    ///   - routes: of the listener, in file order.
    ///   - upstreams: one per upstream of the configuration, in order.
    // bounded: subscripts of a dictionary
    init(_ routes: [Configuration.Route], upstreams: [Upstream], _ configuration: Configuration) {
        var known: [Configuration.RouteAction: Int32] = [:]
        for route in routes {
            let action = route.action
            let place = known[action] ?? Int32(contexts.count)
            if place == contexts.count {
                known[action] = place
                contexts.append(RouteContext(action, upstreams: upstreams, configuration))
            }
            places.append(place)
        }
    }

    var count: Int { places.count }

    /// `nil` for a number the listener has not. Lent, as long as these contexts are there.
    // bounded: places come from init
    subscript(route: Int) -> Lent<RouteContext>? {
        let places = places.span
        return places.indices.contains(route) ? Lent(contexts[Int(places[route])]) : nil
    }
}
