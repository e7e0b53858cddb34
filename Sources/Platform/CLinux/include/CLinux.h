// Linux interfaces that Swift's Glibc module lacks or Swift cannot express, as plain functions.
//
// This header includes nothing on purpose: a glibc header included here would define its types a second time, in this
// module, and files that import only Glibc would not see them if the compiler loaded this module first.
#ifndef TRACE_LINUX_H
#define TRACE_LINUX_H

// Functions return what the system call returns: -1 and errno if it fails.

int trace_eventfd(void);

// `signals` is a sigset_t.
int trace_signalfd(const void *signals);

void trace_set_thread_name(const char *name);

// Turns direct I/O on or off for a descriptor without other status flags.
int trace_set_direct(int descriptor, int on);

// Renames a file; fails with EEXIST if the new name exists, and with EINVAL or ENOSYS if the file system lacks the
// flag.
int trace_rename_exclusively(const char *from, const char *to);

// Writes everything in the file system of an open file or directory to the disk. Reports writes that failed since the
// descriptor was opened (Linux 5.8).
int trace_sync_file_system(int descriptor);

// Makes all threads allocate from one arena. Blocks of at least `mapped_bytes_min` are mapped, and unmapped when freed;
// free memory at the heap's end above `spare_bytes_max` is returned to the system. Returns 1, or 0 if the allocator
// lacks these settings.
int trace_set_up_heap(int mapped_bytes_min, int spare_bytes_max);

// Adds to a posix_spawn_file_actions_t that all descriptors from this one on are closed. Returns 0 or an error number.
int trace_close_from(void *actions, int descriptor);

// The kernel kills this process when the thread that started it ends.
int trace_end_with_parent(void);

static inline void trace_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
