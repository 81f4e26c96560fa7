// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>
#include <stdint.h>

/// libFuzzer's own main without the name: reads its options from argv and returns when it is done.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));

/// Between the two, what this thread allocates is never reported as leaked.
void __lsan_disable(void);
void __lsan_enable(void);
