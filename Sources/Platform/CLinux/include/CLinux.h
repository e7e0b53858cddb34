// Linux interfaces that Swift's Glibc module leaves out, and what Swift has no word for, as plain functions.
//
// Includes nothing, on purpose: a header of glibc included here would define its types a second time, in this
// module, and files that import only Glibc would not see them where the compiler met this module first.
#ifndef TRACE_LINUX_H
#define TRACE_LINUX_H

// All return what the system call does: -1 and errno where it fails.

int trace_eventfd(void);

// `signals`: a sigset_t.
int trace_signalfd(const void *signals);

void trace_set_thread_name(const char *name);

// Direct I/O on or off for a descriptor that has no other status flags.
int trace_set_direct(int descriptor, int on);

// Renames a file unless there is one under the new name: EEXIST. EINVAL or ENOSYS where the file system can't tell.
int trace_rename_exclusively(const char *from, const char *to);

// All that was written to the file system of an open file or directory is on the disk. Reports what could not be written
// there since it was opened (Linux 5.8).
int trace_sync_file_system(int descriptor);

// All threads take memory from one arena; blocks of `mapped_bytes_min` or more are mapped, and go back to the system when
// they are freed; of the others, what is free at the heap's end goes back beyond `spare_bytes_max`. Returns 1, or 0 where the
// allocator knows none of this.
int trace_set_up_heap(int mapped_bytes_min, int spare_bytes_max);

static inline void trace_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
