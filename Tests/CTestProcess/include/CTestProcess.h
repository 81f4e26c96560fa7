#pragma once
// What a test process sets before its first test, and what Swift's Glibc leaves out.

// The child has no descriptor from this one on, however many are open. `actions` is a posix_spawn_file_actions_t, whose
// header would make types of Glibc this module's. 0, or an errno.
int spawn_close_from(void *actions, int first);
