// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: Swift 6 mode, `unsafe` must be written out, imports stay private.
let house: [SwiftSetting] = [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),  // buffers and messages lend Spans of themselves
    .treatAllWarnings(as: .error),
    // The data path crosses modules on every field: inline across them. Exclusive access is proven by
    // the debug and sanitizer runs of the tests; checking it again costs 8 % of a request's instructions.
    .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

let package = Package(
    name: "propagating-proxy",
    products: [
        .executable(name: "propagating-proxy", targets: ["propagating-proxy"]),
        // For the package in Fuzz/, which instruments all of it; nobody else needs the modules.
        .library(
            name: "Parts",
            targets: ["EventLoop", "HTTP1", "HTTP2", "Propagation", "SpanEmitter", "PropagatingProxy", "TLS"]),
    ],
    targets: [
        // C libraries of the host. Each one is imported by exactly one Swift target.
        .systemLibrary(name: "CLibevent", pkgConfig: "libevent", providers: [.apt(["libevent-dev"])]),
        .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        // Socket calls, clock reads and getopt_long, which Swift's Glibc does not offer, as static inline C.
        .target(name: "CSystem"),

        // Pure protocol code: bytes in, values out. No C, no I/O, no clock.
        .target(name: "HTTP1", swiftSettings: house),
        .target(name: "Propagation", swiftSettings: house),

        // The fence around libevent and the kernel.
        .target(name: "EventLoop", dependencies: ["CLibevent", "CSystem"], swiftSettings: house),

        // The fence around OpenSSL.
        .target(name: "TLS", dependencies: ["COpenSSL", "EventLoop"], swiftSettings: house),

        // The fence around libnghttp2.
        .target(name: "HTTP2", dependencies: ["CNghttp2", "EventLoop", "HTTP1"], swiftSettings: house),

        // Span records, encodings, queues and delivery.
        .target(name: "SpanEmitter", dependencies: ["EventLoop", "HTTP1", "Propagation", "TLS"], swiftSettings: house),

        // The product as a library, and its command line.
        .target(
            name: "PropagatingProxy",
            dependencies: ["CYAML", "EventLoop", "HTTP1", "HTTP2", "Propagation", "SpanEmitter", "TLS"],
            swiftSettings: house
        ),
        .executableTarget(
            name: "propagating-proxy",
            dependencies: ["CSystem", "PropagatingProxy"],
            swiftSettings: house
        ),

        // Test doubles and probes, shared by the test targets.
        .target(name: "CMallocCount", path: "Tests/CMallocCount"),
        .target(name: "CTestProcess", path: "Tests/CTestProcess"),
        .target(
            name: "TestSupport", dependencies: ["CTestProcess", "EventLoop", "HTTP1"], path: "Tests/TestSupport",
            swiftSettings: house),
        .testTarget(name: "EventLoopTests", dependencies: ["EventLoop", "TestSupport"]),
        .testTarget(
            name: "HTTP1Tests", dependencies: ["HTTP1", "CMallocCount", "TestSupport"], exclude: ["Vectors"]),
        .testTarget(
            name: "HTTP2Tests", dependencies: ["HTTP2", "EventLoop", "CMallocCount", "TestSupport"]),
        .testTarget(name: "TLSTests", dependencies: ["TLS", "EventLoop", "TestSupport"]),
        .testTarget(
            name: "PropagationTests", dependencies: ["Propagation", "CMallocCount", "TestSupport"],
            exclude: ["Vectors"]),
        .testTarget(
            name: "SpanEmitterTests",
            dependencies: ["SpanEmitter", "Propagation", "EventLoop", "CMallocCount", "TestSupport"]),
        .testTarget(
            name: "PropagatingProxyTests",
            dependencies: ["PropagatingProxy", "EventLoop", "HTTP1", "Propagation", "SpanEmitter", "TestSupport"]),
        .testTarget(
            name: "IntegrationTests", dependencies: ["TestSupport", "propagating-proxy"], exclude: ["Cases"]),
        // The fuzz targets as ordinary code, to replay what fuzzing once found.
        .testTarget(
            name: "FuzzTests",
            dependencies: ["EventLoop", "HTTP1", "HTTP2", "Propagation", "PropagatingProxy", "SpanEmitter", "TLS"],
            path: "Fuzz", exclude: ["CLibFuzzer", "Dictionaries", "Driver", "Package.swift", "Regressions"],
            sources: ["Referees", "Replay", "Targets"]),
    ]
)
