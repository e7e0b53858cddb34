// Counts the traffic of a gRPC server's sockets frame by frame and pauses connections for which the server has no room.
//
// gRPC's C core 1.51 receives a whole message of any size before it passes any of it on, and reports neither how much
// has arrived nor how large the message will be. Therefore this module defines `recvmsg` and `sendmsg`: the core is a
// shared library, and the dynamic linker finds these in the executable before those of the C library. Both make the
// system call and parse the HTTP/2 frame headers (RFC 9113, 4.1) in the data. On a connection without room, `recvmsg`
// returns EAGAIN until the connection is resumed; meanwhile the client's data waits in the kernel, and TCP flow control
// stops the client. Descriptors that are not metered are passed through.
//
// Includes no glibc header, for the reason given in CLinux.h.
// Includes no header of glibc, for the reason that CLinux.h gives.
#ifndef TRACE_SOCKET_METER_H
#define TRACE_SOCKET_METER_H

#include <stdint.h>

// Limits and counters shared by the connections of one server.
typedef struct trace_meter_budget trace_meter_budget;

typedef struct trace_meter_limits {
  // A message that announces more is never received: its connection is paused until its calls are refused.
  int64_t announced_bytes_max;
  // A connection with more bytes of incomplete messages counts as large.
  int64_t small_bytes_max;
  // Limits for the incomplete messages of all small connections and of all large ones.
  int64_t small_total_bytes_max;
  int64_t large_total_bytes_max;
  // Bytes of unanswered messages from which on large connections, and then all that send batches, are paused.
  int64_t held_large_bytes_max;
  int64_t held_bytes_max;
  // Limit for a header block including its continuations.
  int64_t header_block_bytes_max;
  // Cost of an open call in the core, beside a multiple of its headers.
  int64_t call_bytes;
  // Open calls of one connection.
  int32_t calls_max;
  // Calls of one connection that the server has not taken yet; above it the connection is paused.
  int32_t untaken_calls_max;
  // Rate limit for frames without payload (resets, pings, settings, priorities, empty data, continuations): burst and
  // frames per second.
  int32_t idle_frames_burst;
  int32_t idle_frames_per_second;
} trace_meter_limits;

typedef struct trace_meter_totals {
  int64_t small_bytes;
  int64_t large_bytes;
  int64_t call_bytes;
  int64_t held_bytes;
  int32_t paused;
  int32_t oversized;
  // Total number of connections closed for exceeding the limit of frames without payload.
  int64_t flooded;
} trace_meter_totals;

typedef struct trace_meter_view {
  // Bytes received of incomplete messages.
  int64_t partial_bytes;
  // Total message bytes received.
  int64_t data_bytes;
  // Memory of the open calls, and that multiplied by the calls' ages in seconds.
  int64_t call_bytes;
  int64_t call_byte_seconds;
  // Monotonic nanoseconds: when it was paused (0 if it is not), and of the last byte in either direction.
  int64_t paused_since;
  int64_t last_active;
  int32_t open_calls;
  int32_t is_oversized;
  int32_t is_privileged;
} trace_meter_view;

// Returns whether calls of `recvmsg` by shared libraries reach this module.
int trace_meter_is_in_place(void);

trace_meter_budget *trace_meter_budget_create(const trace_meter_limits *limits);
// Requires that none of its connections is metered any more.
void trace_meter_budget_destroy(trace_meter_budget *budget);
void trace_meter_budget_totals(trace_meter_budget *budget, trace_meter_totals *totals);
// Adds to the bytes of messages that the server has taken and not answered. Returns the previous number.
int64_t trace_meter_hold(trace_meter_budget *budget, int64_t bytes);

// A connection belongs to the server with whose budget its metering began. The functions below do nothing, and return 0,
// if it is not metered with `budget`.

// Starts metering a connection before its first byte. Returns 0 if there is no memory or the descriptor is too large.
int trace_meter_begin(trace_meter_budget *budget, int descriptor);
// Stops metering a connection and subtracts what it counted. Idempotent.
void trace_meter_end(trace_meter_budget *budget, int descriptor);
// Returns 0 if the connection is closed, too.
int trace_meter_inspect(trace_meter_budget *budget, int descriptor, int64_t now, trace_meter_view *view);
// The server has taken a call. With `is_ingest` the connection sends batches, so it is paused while too many messages
// are held.
void trace_meter_take_call(trace_meter_budget *budget, int descriptor, int is_ingest);
// A privileged connection is read even while incomplete messages take all their budget.
void trace_meter_set_privileged(trace_meter_budget *budget, int descriptor, int on);
// Resumes a connection if there is room.
void trace_meter_resume(trace_meter_budget *budget, int descriptor);
// Sends a GOAWAY so that the client opens its next call on another connection (RFC 9113, 6.8). Returns 0 if that is not
// possible now.
int trace_meter_send_away(trace_meter_budget *budget, int descriptor);

#endif
