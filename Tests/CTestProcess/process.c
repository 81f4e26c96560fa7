// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE

#include "CTestProcess.h"

#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>

/// A test whose peer has gone fails by name; the signal would end all the others with it. Programs that tests start
/// get the default back (RunningProgram).
__attribute__((constructor)) static void ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }

/// Both ends of all connections of all tests that run at once are open here.
__attribute__((constructor)) static void raise_open_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int spawn_close_from(void *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}
