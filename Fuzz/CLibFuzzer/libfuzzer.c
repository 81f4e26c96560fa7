// SPDX-License-Identifier: Apache-2.0
// The library comes with -sanitize=fuzzer; only its header is ours.
#include "libfuzzer.h"
