#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

int trace_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int trace_signalfd(const void *signals) { return signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC); }

void trace_set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int trace_set_direct(int descriptor, int on) { return fcntl(descriptor, F_SETFL, on ? O_DIRECT : 0); }

int trace_set_up_heap(int mapped_bytes_min, int spare_bytes_max) {
  return mallopt(M_ARENA_MAX, 1) == 1 && mallopt(M_MMAP_THRESHOLD, mapped_bytes_min) == 1 &&
         mallopt(M_TRIM_THRESHOLD, spare_bytes_max) == 1;
}

int trace_rename_exclusively(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int trace_sync_file_system(int descriptor) { return syncfs(descriptor); }

int trace_close_from(void *actions, int descriptor) {
  return posix_spawn_file_actions_addclosefrom_np(actions, descriptor);
}

int trace_end_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }
