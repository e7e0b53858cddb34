// Parts of gRPC's C core 1.51 that Swift cannot import: function-like macros, masks, and unions of operations. Each
// helper starts one batch. The operation arrays are on its stack, because the core copies what it needs before
// `grpc_call_start_batch` returns (grpc/impl/codegen/grpc_types.h).
#ifndef TRACE_GRPC_SHIM_H
#define TRACE_GRPC_SHIM_H

#include <stdint.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/status.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "core.h"

// Results of a server's call, allocated in the call's arena, so that they live as long as the call.
typedef struct trace_grpc_cells {
  grpc_byte_buffer *message;
  trace_grpc_closure answered;
  int cancelled;
} trace_grpc_cells;

// A metadata element passed from Swift; copied.
typedef struct trace_grpc_pair {
  const char *key;
  const uint8_t *value;
  size_t value_count;
} trace_grpc_pair;

#define TRACE_GRPC_PAIRS_MAX 4

static inline const uint8_t *trace_grpc_slice_start(const grpc_slice *slice) {
  return GRPC_SLICE_START_PTR(*slice);
}

static inline size_t trace_grpc_slice_length(const grpc_slice *slice) {
  return GRPC_SLICE_LENGTH(*slice);
}

static inline gpr_timespec trace_grpc_deadline(int64_t milliseconds) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(milliseconds, GPR_TIMESPAN));
}

static inline grpc_event trace_grpc_next(grpc_completion_queue *queue, int64_t milliseconds) {
  return grpc_completion_queue_next(queue, trace_grpc_deadline(milliseconds), NULL);
}

static inline trace_grpc_cells *trace_grpc_cells_create(grpc_call *call) {
  trace_grpc_cells *cells = (trace_grpc_cells *)grpc_call_arena_alloc(call, sizeof *cells);
  memset(cells, 0, sizeof *cells);
  return cells;
}

static inline grpc_byte_buffer *trace_grpc_buffer(const void *bytes, size_t count) {
  grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes, count);
  grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return buffer;
}

static inline size_t trace_grpc_metadata(grpc_metadata *out, const trace_grpc_pair *pairs,
                                         size_t count) {
  if (count > TRACE_GRPC_PAIRS_MAX) count = TRACE_GRPC_PAIRS_MAX;
  memset(out, 0, sizeof *out * TRACE_GRPC_PAIRS_MAX);
  for (size_t i = 0; i < count; i++) {
    out[i].key = grpc_slice_from_copied_string(pairs[i].key);
    out[i].value = grpc_slice_from_copied_buffer((const char *)pairs[i].value, pairs[i].value_count);
  }
  return count;
}

static inline void trace_grpc_metadata_unref(grpc_metadata *metadata, size_t count) {
  for (size_t i = 0; i < count; i++) {
    grpc_slice_unref(metadata[i].key);
    grpc_slice_unref(metadata[i].value);
  }
}

static inline grpc_call_error trace_grpc_receive_message(grpc_call *call, grpc_byte_buffer **message,
                                                         void *tag) {
  grpc_op op;
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_RECV_MESSAGE;
  op.data.recv_message.recv_message = message;
  return grpc_call_start_batch(call, &op, 1, tag, NULL);
}

static inline grpc_call_error trace_grpc_receive_close(grpc_call *call, int *cancelled, void *tag) {
  grpc_op op;
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
  op.data.recv_close_on_server.cancelled = cancelled;
  return grpc_call_start_batch(call, &op, 1, tag, NULL);
}

static inline grpc_call_error trace_grpc_send_metadata(grpc_call *call, void *tag) {
  grpc_op op;
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_SEND_INITIAL_METADATA;
  return grpc_call_start_batch(call, &op, 1, tag, NULL);
}

// `more` announces another message, so that the core may delay the write to the socket.
static inline grpc_call_error trace_grpc_send_message(grpc_call *call, const void *bytes, size_t count,
                                                      int more, void *tag) {
  grpc_byte_buffer *buffer = trace_grpc_buffer(bytes, count);
  grpc_op op;
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_SEND_MESSAGE;
  op.flags = more ? GRPC_WRITE_BUFFER_HINT : 0;
  op.data.send_message.send_message = buffer;
  grpc_call_error error = grpc_call_start_batch(call, &op, 1, tag, NULL);
  grpc_byte_buffer_destroy(buffer);
  return error;
}

static inline grpc_call_error trace_grpc_send_close(grpc_call *call, void *tag) {
  grpc_op op;
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
  return grpc_call_start_batch(call, &op, 1, tag, NULL);
}

static inline grpc_call_error trace_grpc_send_status(grpc_call *call, grpc_status_code status,
                                                     const char *details, size_t details_count,
                                                     const trace_grpc_pair *pairs, size_t pair_count,
                                                     void *tag) {
  grpc_metadata trailers[TRACE_GRPC_PAIRS_MAX];
  size_t trailer_count = trace_grpc_metadata(trailers, pairs, pair_count);
  grpc_slice text = grpc_slice_from_copied_buffer(details, details_count);
  grpc_op op;
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  op.data.send_status_from_server.status = status;
  op.data.send_status_from_server.status_details = details_count > 0 ? &text : NULL;
  op.data.send_status_from_server.trailing_metadata = trailers;
  op.data.send_status_from_server.trailing_metadata_count = trailer_count;
  grpc_call_error error = grpc_call_start_batch(call, &op, 1, tag, NULL);
  grpc_slice_unref(text);
  trace_grpc_metadata_unref(trailers, trailer_count);
  return error;
}

// Sends the whole answer of a unary call in one batch with one completion. Without a message if `bytes` is NULL.
// `closure` replaces `tag` in an execution context of the core only.
static inline grpc_call_error trace_grpc_answer(grpc_call *call, const void *bytes, size_t count,
                                                grpc_status_code status, const char *details,
                                                size_t details_count, const trace_grpc_pair *pairs,
                                                size_t pair_count, int *cancelled, void *tag,
                                                trace_grpc_closure *closure) {
  grpc_op ops[4];
  memset(ops, 0, sizeof ops);
  size_t op_count = 0;
  grpc_metadata trailers[TRACE_GRPC_PAIRS_MAX];
  size_t trailer_count = pair_count > 0 ? trace_grpc_metadata(trailers, pairs, pair_count) : 0;
  grpc_slice text = grpc_slice_from_copied_buffer(details, details_count);
  grpc_byte_buffer *buffer = bytes ? trace_grpc_buffer(bytes, count) : NULL;

  ops[op_count++].op = GRPC_OP_SEND_INITIAL_METADATA;
  if (buffer) {
    ops[op_count].op = GRPC_OP_SEND_MESSAGE;
    ops[op_count++].data.send_message.send_message = buffer;
  }
  ops[op_count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  ops[op_count].data.send_status_from_server.status = status;
  ops[op_count].data.send_status_from_server.status_details = details_count > 0 ? &text : NULL;
  ops[op_count].data.send_status_from_server.trailing_metadata = trailers;
  ops[op_count++].data.send_status_from_server.trailing_metadata_count = trailer_count;
  ops[op_count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
  ops[op_count++].data.recv_close_on_server.cancelled = cancelled;
  grpc_call_error error = closure ? trace_grpc_core_start_batch(call, ops, op_count, closure)
                                  : grpc_call_start_batch(call, ops, op_count, tag, NULL);

  if (buffer) grpc_byte_buffer_destroy(buffer);
  grpc_slice_unref(text);
  trace_grpc_metadata_unref(trailers, trailer_count);
  return error;
}

// Returns the descriptor in `fd:17`, the core's address of a connection that was passed to it; -1 for any other
// address.
static inline int trace_grpc_peer_descriptor(const char *peer) {
  if (strncmp(peer, "fd:", 3) != 0) return -1;
  int number = 0;
  for (const char *digit = peer + 3; *digit >= '0' && *digit <= '9'; digit++) {
    number = number * 10 + (*digit - '0');
  }
  return number;
}

// Results of a client's call.
typedef struct trace_grpc_client_cells {
  grpc_metadata_array initial;
  grpc_metadata_array trailing;
  grpc_byte_buffer *message;
  grpc_status_code status;
  grpc_slice details;
} trace_grpc_client_cells;

static inline void trace_grpc_client_cells_init(trace_grpc_client_cells *cells) {
  memset(cells, 0, sizeof *cells);
  grpc_metadata_array_init(&cells->initial);
  grpc_metadata_array_init(&cells->trailing);
  cells->details = grpc_empty_slice();
}

static inline void trace_grpc_client_cells_destroy(trace_grpc_client_cells *cells) {
  grpc_metadata_array_destroy(&cells->initial);
  grpc_metadata_array_destroy(&cells->trailing);
  if (cells->message) grpc_byte_buffer_destroy(cells->message);
  grpc_slice_unref(cells->details);
}

// Returns the value of a trailer; NULL if there is none.
static inline const grpc_slice *trace_grpc_trailer(const trace_grpc_client_cells *cells,
                                                   const char *key) {
  for (size_t i = 0; i < cells->trailing.count; i++) {
    if (grpc_slice_str_cmp(cells->trailing.metadata[i].key, key) == 0) {
      return &cells->trailing.metadata[i].value;
    }
  }
  return NULL;
}

// Returns NULL if the channel is being destroyed. `milliseconds` < 0 means no deadline.
static inline grpc_call *trace_grpc_call_create(grpc_channel *channel, grpc_completion_queue *queue,
                                                const char *path, int64_t milliseconds) {
  grpc_slice method = grpc_slice_from_copied_string(path);
  gpr_timespec deadline =
      milliseconds < 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : trace_grpc_deadline(milliseconds);
  grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue, method,
                                             NULL, deadline, NULL);
  grpc_slice_unref(method);
  return call;
}

// Sends a unary call's request and receives its whole response in one batch with one completion.
static inline grpc_call_error trace_grpc_client_unary(grpc_call *call, const void *bytes, size_t count,
                                                      const trace_grpc_pair *pairs, size_t pair_count,
                                                      trace_grpc_client_cells *cells, void *tag) {
  grpc_metadata headers[TRACE_GRPC_PAIRS_MAX];
  size_t header_count = pair_count > 0 ? trace_grpc_metadata(headers, pairs, pair_count) : 0;
  grpc_byte_buffer *buffer = trace_grpc_buffer(bytes, count);
  grpc_op ops[6];
  memset(ops, 0, sizeof ops);
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[0].data.send_initial_metadata.metadata = headers;
  ops[0].data.send_initial_metadata.count = header_count;
  ops[1].op = GRPC_OP_SEND_MESSAGE;
  ops[1].data.send_message.send_message = buffer;
  ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
  ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
  ops[3].data.recv_initial_metadata.recv_initial_metadata = &cells->initial;
  ops[4].op = GRPC_OP_RECV_MESSAGE;
  ops[4].data.recv_message.recv_message = &cells->message;
  ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  ops[5].data.recv_status_on_client.trailing_metadata = &cells->trailing;
  ops[5].data.recv_status_on_client.status = &cells->status;
  ops[5].data.recv_status_on_client.status_details = &cells->details;
  grpc_call_error error = grpc_call_start_batch(call, ops, 6, tag, NULL);
  grpc_byte_buffer_destroy(buffer);
  trace_grpc_metadata_unref(headers, header_count);
  return error;
}

static inline grpc_call_error trace_grpc_client_open(grpc_call *call, const trace_grpc_pair *pairs,
                                                     size_t pair_count,
                                                     trace_grpc_client_cells *cells, void *tag) {
  grpc_metadata headers[TRACE_GRPC_PAIRS_MAX];
  size_t header_count = pair_count > 0 ? trace_grpc_metadata(headers, pairs, pair_count) : 0;
  grpc_op ops[2];
  memset(ops, 0, sizeof ops);
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[0].data.send_initial_metadata.metadata = headers;
  ops[0].data.send_initial_metadata.count = header_count;
  ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
  ops[1].data.recv_initial_metadata.recv_initial_metadata = &cells->initial;
  grpc_call_error error = grpc_call_start_batch(call, ops, 2, tag, NULL);
  trace_grpc_metadata_unref(headers, header_count);
  return error;
}

static inline grpc_call_error trace_grpc_client_status(grpc_call *call, trace_grpc_client_cells *cells,
                                                       void *tag) {
  grpc_op op;
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  op.data.recv_status_on_client.trailing_metadata = &cells->trailing;
  op.data.recv_status_on_client.status = &cells->status;
  op.data.recv_status_on_client.status_details = &cells->details;
  return grpc_call_start_batch(call, &op, 1, tag, NULL);
}

#endif
