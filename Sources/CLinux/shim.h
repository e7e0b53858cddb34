// Linux interfaces that Swift's Glibc module leaves out, as plain functions.
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

static inline int trace_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

static inline int trace_signalfd(const sigset_t *signals) {
    return signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static inline void trace_set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
