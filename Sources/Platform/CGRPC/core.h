// What this project knows of gRPC's C core beyond its public headers: the layout of a closure and two functions that the
// library exports without declaring them. All of it is in this file, and used only where `trace_grpc_knows_core` is true.
// Otherwise `GRPCTransport` does without: it answers calls one by one (a sixth more of a server's CPU time with many
// concurrent calls), and its shutdown sends a GOAWAY on the metered connections by itself, without the second one, so
// that a client which keeps an idle connection open in spite of it delays the end until the deadline.
#ifndef TRACE_GRPC_CORE_H
#define TRACE_GRPC_CORE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>

// The callback that the core runs at the end of a batch instead of queueing a tag: `grpc_closure` of core 29
// (lib/iomgr/closure.h there). All fields but `run` and `context` belong to the core and start as zero. The fields
// after `error` exist only in a core built without NDEBUG, such as Debian's, which writes to them.
typedef struct trace_grpc_closure {
  uintptr_t next;
  void (*run)(void *context, void *status);
  void *context;
  uintptr_t error;
  uint8_t is_scheduled;
  uint8_t has_trace;
  const char *created_in;
  int32_t created_at;
  const char *started_in;
  int32_t started_at;
} trace_grpc_closure;

_Static_assert(sizeof(trace_grpc_closure) == 72, "as large as the core's own");

// `grpc_call_start_batch` for a caller that is already in an execution context of the core (lib/surface/call.h there).
// Batches of one connection's calls that are started in one context are written to the socket together, and no poller
// wakes up for each. Exported, but not declared in a public header.
extern grpc_call_error trace_grpc_core_start_batch(grpc_call *call, const grpc_op *ops, size_t count,
                                                   trace_grpc_closure *closure)
    __asm__("_Z33grpc_call_start_batch_and_executeP9grpc_callPK7grpc_opmP12grpc_closure")
        __attribute__((weak));

// `grpc_core::Server::SendGoaways()`: sends a GOAWAY on every connection while the server keeps taking calls; each
// connection is closed after its last call. A call that crosses the GOAWAY is served, whereas
// `grpc_server_shutdown_and_notify` drops it. The core exports it since 1.46 without declaring it in a public header
// (lib/surface/server.h there). Weak, so that it links with a core without it. It has to run in the core's execution
// context.
extern void trace_grpc_core_send_goaways(grpc_server *server)
    __asm__("_ZN9grpc_core6Server11SendGoawaysEv") __attribute__((weak));

// The one switch. True if the core is the version that the above is known of and exports both functions, unless the
// environment has TRACE_GRPC_PUBLIC_ONLY: tests set it to run without.
static inline int trace_grpc_knows_core(void) {
  return trace_grpc_core_start_batch && trace_grpc_core_send_goaways &&
         strcmp(grpc_version_string(), "29.0.0") == 0 && !getenv("TRACE_GRPC_PUBLIC_ONLY");
}

// Runs `body` in an execution context of the core. Only public functions can create one; the destruction of a byte
// buffer does, and calls back for the slice in it.
static inline void trace_grpc_in_core_context(void (*body)(void *), void *context) {
  grpc_slice slice = grpc_slice_new_with_user_data((void *)"", 1, body, context);
  grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  grpc_byte_buffer_destroy(buffer);
}

static inline void trace_grpc_send_goaways_body(void *server) {
  trace_grpc_core_send_goaways((grpc_server *)server);
}

static inline void trace_grpc_send_goaways(grpc_server *server) {
  trace_grpc_in_core_context(trace_grpc_send_goaways_body, server);
}

#endif
