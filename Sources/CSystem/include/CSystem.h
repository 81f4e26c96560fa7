#pragma once
// System calls and constants Swift's Glibc module does not offer (it sets no _GNU_SOURCE),
// as static inline functions, so that a call costs nothing more than in C.
#include <stdint.h>
#include <stddef.h>
