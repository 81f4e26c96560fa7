// SPDX-License-Identifier: Apache-2.0

#include "CTestProcess.h"

#include <signal.h>

/// A test whose peer has gone fails by name; the signal would end all the others with it. Programs that tests start
/// get the default back (RunningProgram).
__attribute__((constructor)) static void ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }
