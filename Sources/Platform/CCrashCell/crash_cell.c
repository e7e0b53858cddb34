#define _GNU_SOURCE
#include "CCrashCell.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE};
enum { signal_count = sizeof signals / sizeof signals[0] };

static struct trace_crash_cell *watched;
static struct sigaction before[signal_count];
static char signal_stack[64 << 10] __attribute__((aligned(16)));

// Records the signal and restores the previous action. Uses only functions that signal-safety(7) lists.
static void note(int number, siginfo_t *info, void *context) {
    (void)context;
    // A fault has a positive code; abort() and raise() send SI_TKILL from this process.
    int is_fault = info->si_code > 0;
    int is_own = is_fault || (info->si_code == SI_TKILL && info->si_pid == getpid());
    if (is_own && watched != NULL && watched->cause == 0) watched->cause = (uint32_t)number;
    for (int index = 0; index < signal_count; index += 1) {
        if (signals[index] == number) sigaction(number, &before[index], NULL);
    }
    // On return a faulting instruction faults again, now with the previous action. A trap does not repeat and a sent
    // signal neither, so they are raised again, pending until this handler returns.
    if (!is_fault || number == SIGTRAP) raise(number);
}

int trace_crash_cell_watch(struct trace_crash_cell *cell) {
    stack_t stack;
    if (sigaltstack(NULL, &stack) != 0) return errno;
    if (stack.ss_flags & SS_DISABLE) {
        stack.ss_sp = signal_stack;
        stack.ss_size = sizeof signal_stack;
        stack.ss_flags = 0;
        if (sigaltstack(&stack, NULL) != 0) return errno;
    }
    watched = cell;
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (int index = 0; index < signal_count; index += 1) {
        if (sigaction(signals[index], &action, &before[index]) != 0) return errno;
    }
    return 0;
}
