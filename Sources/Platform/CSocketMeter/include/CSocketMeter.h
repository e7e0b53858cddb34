// Counts what passes through the sockets of a gRPC server, frame by frame, and holds back what the server has no room for.
//
// gRPC's C core 1.51 receives a message of any size as a whole before it shows anything of it, and says neither how much of
// it is there nor how large it is going to be. So this file defines `recvmsg` and `sendmsg`: the core is a shared library and
// finds these in the executable before those of the C library. Both make the system call and read the headers of the HTTP/2
// frames (RFC 9113, 4.1) that went by. A connection for which there is no room sees EAGAIN until it is resumed; what its client
// sends meanwhile waits in the kernel, and TCP holds the client back. Descriptors that are not metered pass through.
//
// Includes no header of glibc, for the reason that CLinux.h gives.
#ifndef TRACE_SOCKET_METER_H
#define TRACE_SOCKET_METER_H

#include <stdint.h>

// What the connections of one server share.
typedef struct trace_meter_budget trace_meter_budget;

typedef struct trace_meter_limits {
  // A message that announces more is never received: its connection waits until its calls are refused.
  int64_t announced_bytes_max;
  // A connection with more bytes of incomplete messages counts as large.
  int64_t small_bytes_max;
  // Bytes of incomplete messages, of all connections that are not large, and of those that are.
  int64_t small_total_bytes_max;
  int64_t large_total_bytes_max;
  // Bytes of messages not yet answered, from which on large connections wait, and all that send batches.
  int64_t held_large_bytes_max;
  int64_t held_bytes_max;
  // One header block, its continuations included.
  int64_t header_block_bytes_max;
  // What an open call costs in the core, beside a multiple of its headers.
  int64_t call_bytes;
  // Open calls of one connection.
  int32_t calls_max;
  // Calls of one connection that the server has not taken yet, beyond which the connection waits.
  int32_t untaken_calls_max;
  // Frames that carry nothing (resets, pings, settings, priorities, empty data, continuations): so many at once, and so
  // many a second.
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
  // Connections ended as their client sent more of what carries nothing than it may; never falls.
  int64_t flooded;
} trace_meter_totals;

typedef struct trace_meter_view {
  // Bytes of incomplete messages that have arrived.
  int64_t partial_bytes;
  // Bytes of messages that have ever arrived.
  int64_t data_bytes;
  // Memory of the open calls, and the same times the calls' ages in seconds.
  int64_t call_bytes;
  int64_t call_byte_seconds;
  // Monotonic nanoseconds: since when it waits (0: it doesn't), and when a byte last went by, in either direction.
  int64_t paused_since;
  int64_t last_active;
  int32_t open_calls;
  int32_t is_oversized;
  int32_t is_privileged;
} trace_meter_view;

// True where calls of `recvmsg` from shared libraries come here.
int trace_meter_is_in_place(void);

trace_meter_budget *trace_meter_budget_create(const trace_meter_limits *limits);
// No connection of it may be metered any more.
void trace_meter_budget_destroy(trace_meter_budget *budget);
void trace_meter_budget_totals(trace_meter_budget *budget, trace_meter_totals *totals);
// Messages that the server has taken over, or has answered, in bytes. Returns how many there were before.
int64_t trace_meter_hold(trace_meter_budget *budget, int64_t bytes);

// The connection is metered from its first byte on. 0: there is no memory for it, or the number is too large.
int trace_meter_begin(trace_meter_budget *budget, int descriptor);
// What it counted no longer counts. Again changes nothing.
void trace_meter_end(int descriptor);
// 0: it is not metered, or is over.
int trace_meter_look(int descriptor, int64_t now, trace_meter_view *view);
// The server has taken a call of it. `is_ingest`: it sends batches, so it waits while too many messages are held.
void trace_meter_take_call(int descriptor, int is_ingest);
// It is read even where incomplete messages take all their room.
void trace_meter_set_privileged(int descriptor, int on);
// Lets it be read again if there is room for it by now.
void trace_meter_resume(int descriptor);
// Tells its client to open its next call on another connection (GOAWAY; RFC 9113, 6.8). 0: not possible now.
int trace_meter_send_away(int descriptor);

#endif
