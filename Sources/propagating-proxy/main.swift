import Glibc
import PropagatingProxy
exit(Proxy.run(Configuration(quick: "127.0.0.1", port: UInt16(CommandLine.arguments[1])!, up: UInt16(CommandLine.arguments[2])!)))
