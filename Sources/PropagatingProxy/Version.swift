// SPDX-License-Identifier: Apache-2.0

/// This program's version, as `--version` and resource attributes show it.
public enum Version {
    public static let text = "0.1.0"
}
