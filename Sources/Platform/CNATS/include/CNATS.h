// A connection to NATS servers, with one subscription that receives the answers to everything that is sent.
//
// libnats is loaded when the first connection is opened, so that a router without a replicated log neither loads it nor
// has to have it. One thread at a time may use a connection; the library's own threads call nothing of ours.
#ifndef TRACE_NATS_H
#define TRACE_NATS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct trace_nats trace_nats;

// Connects to one of the servers, and from then on to another one whenever that one is lost. Returns null, and why in
// `problem` (static text, or the library's for its error), if none can be reached or libnats cannot be loaded. Blocks for
// up to `timeout_milliseconds` a server.
trace_nats *trace_nats_open(const char *const *urls, int count, const char *name, int64_t timeout_milliseconds,
                            const char **problem, bool *is_loaded);

void trace_nats_close(trace_nats *connection);

bool trace_nats_is_connected(trace_nats *connection);

// The server's limit for headers and bytes of a message.
int64_t trace_nats_payload_max(trace_nats *connection);

// Sends a message; its answer has the same `ticket`. `headers` are "name: value", each with a line feed behind it. The
// bytes are copied. Returns null, or why nothing was sent. Blocks where the server does not read.
const char *trace_nats_send(trace_nats *connection, const char *subject, uint64_t ticket, const char *headers,
                            const void *bytes, int count);

typedef struct {
  void *handle; // for the functions below
  uint64_t ticket;
  int status; // of an answer without content, as 404 or 503; else 0
  const char *bytes;
  int count;
} trace_nats_answer;

// Waits for the next answer. Returns false if none came in time.
bool trace_nats_next(trace_nats *connection, int64_t timeout_milliseconds, trace_nats_answer *answer);

// Returns the value of a header, valid as long as the answer; null if it has none of that name.
const char *trace_nats_header(const trace_nats_answer *answer, const char *name);

// Frees an answer and what it points to.
void trace_nats_release(trace_nats_answer *answer);

#endif
