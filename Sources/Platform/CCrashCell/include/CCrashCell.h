// Records a process's position and crash cause in a mapped file that outlives it.
#ifndef TRACE_CRASH_CELL_H
#define TRACE_CRASH_CELL_H

#include <stdint.h>

// Content of the file in this machine's byte order: it is read only on the machine that wrote it.
struct trace_crash_cell {
    uint64_t magic;
    volatile uint64_t position;  // what the process is working on; UINT64_MAX: on nothing that may be blamed
    volatile uint64_t suspect;   // where the deaths counted so far happened
    volatile uint32_t deaths;
    volatile uint32_t cause;     // how the process ended: a signal's number, or one of the owner's own; 0: otherwise
};

// Makes a crash signal that the process raises itself store its number in `cell->cause`, unless a cause is stored
// already, before the signal takes effect. Signals from other processes are not recorded. Gives the calling thread a
// signal stack if it has none, so that a stack overflow is recorded too. `cell` has to stay mapped for the life of the
// process. Returns 0, or errno.
int trace_crash_cell_watch(struct trace_crash_cell *cell);

#endif
