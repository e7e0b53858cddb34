// What a process was at when it crashed, in a mapped file that outlives it.
#ifndef TRACE_CRASH_CELL_H
#define TRACE_CRASH_CELL_H

#include <stdint.h>

// The file's content, in this machine's byte order: it is read on the machine that wrote it.
struct trace_crash_cell {
    uint64_t magic;
    volatile uint64_t position;  // what the process is working on; UINT64_MAX: on nothing that may be blamed
    volatile uint64_t suspect;   // where the deaths counted so far happened
    volatile uint32_t deaths;
    volatile uint32_t cause;     // how the process ended: a signal's number, or one of the owner's own; 0: otherwise
};

// From now on a crash signal that the process raises itself leaves its number in `cell->cause`, unless a cause
// stands there already, before it takes its course. Signals sent by other processes leave nothing. The calling
// thread gets a signal stack of its own, where it has none, so that an overflow of its stack is noted too.
// `cell` has to stay mapped for the life of the process. Returns 0, or errno.
int trace_crash_cell_watch(struct trace_crash_cell *cell);

#endif
