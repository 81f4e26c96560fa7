// swift-tools-version: 6.2
import PackageDescription

/// The fuzz targets with libFuzzer around them; `scripts/fuzz` builds it with the flags it needs. A package of its own,
/// because every module has to be instrumented. The same targets are compiled once more in the product's package, as
/// the test target `FuzzTests`, which replays the inputs kept in `Regressions/`.
let house: [SwiftSetting] = [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "fuzz",
    dependencies: [.package(name: "propagating-proxy", path: "..")],
    targets: [
        .target(name: "CLibFuzzer", path: "CLibFuzzer"),
        .target(
            name: "FuzzTargets", dependencies: [.product(name: "Parts", package: "propagating-proxy")],
            path: ".", exclude: ["CLibFuzzer", "Dictionaries", "Driver", "Regressions", "Replay"],
            sources: ["Referees", "Targets"], swiftSettings: house),
        .executableTarget(
            name: "fuzz", dependencies: ["CLibFuzzer", "FuzzTargets"], path: "Driver", swiftSettings: house),
    ]
)
