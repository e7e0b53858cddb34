#define _GNU_SOURCE
#include "CSocketMeter.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DESCRIPTORS = 1 << 16, FRAME_HEAD = 9, PREFACE = 24, PREFIX = 5 };
// Frame types and flags (RFC 9113, 6).
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum { END_STREAM = 0x1, PADDED = 0x8 };
// Factor for the memory of a header: name, value and their bookkeeping.
enum { HEADER_EXPANSION = 4 };

struct trace_meter_budget {
  trace_meter_limits limits;
  _Atomic int64_t small_bytes, large_bytes, call_bytes, held_bytes, flooded;
  _Atomic int32_t paused, oversized;
};

// A call whose headers have arrived and which neither side has ended.
typedef struct {
  uint32_t id;
  // The message being received: its prefix, the bytes received after it, and those to come.
  uint8_t prefix[PREFIX], prefix_count;
  uint32_t arrived;
  int64_t left;
  int64_t call_bytes, opened;
} open_call;

// Parser position in the frames of one direction of a connection.
typedef struct {
  uint8_t head[FRAME_HEAD];
  int have;
  uint32_t left;
  uint32_t stream;
} frames;

typedef struct {
  pthread_mutex_t lock;
  _Atomic int is_paused;
  _Atomic int is_ingest;
  int descriptor;
  trace_meter_budget *budget; // NULL: not metered
  frames in, out;
  int preface_left;
  // DATA frame: whether the padding length is still unread, and the padding at the frame's end in bytes.
  int pad_unread;
  uint32_t pad;
  uint32_t last_id, oversized_id;
  int64_t block_bytes;
  int is_privileged, is_flooding;
  double tokens;
  int64_t tokens_at, paused_since, last_active, data_bytes, partial_bytes;
  // Sums over the open calls: memory, and opening time multiplied by memory in µs.
  int64_t call_bytes;
  double opened_sum;
  // Sorted by id. `capacity` is kept for the next connection with this descriptor.
  open_call *calls;
  int count, capacity, recent;
  // Open calls that the server has not taken.
  int untaken;
} meter;

static _Atomic(meter *) meters[DESCRIPTORS];

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static meter *metered(int descriptor) {
  if (descriptor < 0 || descriptor >= DESCRIPTORS) return NULL;
  return atomic_load_explicit(&meters[descriptor], memory_order_acquire);
}

// MARK: Counters of a connection

static void add_partial(meter *m, int64_t change) {
  trace_meter_budget *b = m->budget;
  int64_t large = b->limits.small_bytes_max, before = m->partial_bytes, after = before + change;
  m->partial_bytes = after;
  if (before > large) atomic_fetch_sub(&b->large_bytes, before);
  else atomic_fetch_sub(&b->small_bytes, before);
  if (after > large) atomic_fetch_add(&b->large_bytes, after);
  else atomic_fetch_add(&b->small_bytes, after);
}

static void add_call_bytes(meter *m, open_call *call, int64_t bytes) {
  call->call_bytes += bytes;
  m->call_bytes += bytes;
  m->opened_sum += (double)bytes * (call->opened / 1000);
  atomic_fetch_add(&m->budget->call_bytes, bytes);
}

static open_call *find(meter *m, uint32_t id) {
  if (m->recent < m->count && m->calls[m->recent].id == id) return &m->calls[m->recent];
  int low = 0, high = m->count;
  while (low < high) {
    int middle = (low + high) / 2;
    if (m->calls[middle].id < id) low = middle + 1;
    else high = middle;
  }
  if (low == m->count || m->calls[low].id != id) return NULL;
  m->recent = low;
  return &m->calls[low];
}

static void set_oversized(meter *m, uint32_t id) {
  if ((m->oversized_id != 0) != (id != 0)) atomic_fetch_add(&m->budget->oversized, id ? 1 : -1);
  m->oversized_id = id;
}

static void close_call(meter *m, uint32_t id) {
  open_call *call = find(m, id);
  if (!call) return;
  if (call->arrived) add_partial(m, -(int64_t)call->arrived);
  add_call_bytes(m, call, -call->call_bytes);
  if (m->oversized_id == id) set_oversized(m, 0);
  int index = (int)(call - m->calls);
  memmove(call, call + 1, sizeof *call * (size_t)(m->count - index - 1));
  m->count--;
  // A closed call was taken before, or is never taken.
  if (m->untaken > m->count) m->untaken = m->count;
}

static void flood(meter *m) {
  if (!m->is_flooding) atomic_fetch_add(&m->budget->flooded, 1);
  m->is_flooding = 1;
}

static open_call *open_new_call(meter *m, uint32_t id, int64_t now) {
  if (m->count >= m->budget->limits.calls_max) {
    flood(m);
    return NULL;
  }
  if (m->count == m->capacity) {
    int capacity = m->capacity ? 2 * m->capacity : 4;
    open_call *calls = realloc(m->calls, sizeof *calls * (size_t)capacity);
    if (!calls) return NULL;
    m->calls = calls;
    m->capacity = capacity;
  }
  open_call *call = &m->calls[m->count];
  memset(call, 0, sizeof *call);
  call->id = id;
  call->opened = now;
  m->recent = m->count++;
  m->last_id = id;
  m->untaken++;
  add_call_bytes(m, call, m->budget->limits.call_bytes);
  return call;
}

static void count_idle_frame(meter *m, int64_t now) {
  const trace_meter_limits *limits = &m->budget->limits;
  m->tokens += (double)(now - m->tokens_at) / 1e9 * limits->idle_frames_per_second;
  if (m->tokens > limits->idle_frames_burst) m->tokens = limits->idle_frames_burst;
  m->tokens_at = now;
  m->tokens -= 1;
  if (m->tokens < 0) flood(m);
}

// MARK: Frames

// Reads up to `count` bytes of a frame header. Returns 1 once it is complete.
static int read_head(frames *f, const uint8_t **bytes, size_t *count) {
  size_t take = (size_t)(FRAME_HEAD - f->have);
  if (take > *count) take = *count;
  memcpy(f->head + f->have, *bytes, take);
  f->have += (int)take;
  *bytes += take;
  *count -= take;
  if (f->have < FRAME_HEAD) return 0;
  f->left = (uint32_t)f->head[0] << 16 | (uint32_t)f->head[1] << 8 | f->head[2];
  f->stream = ((uint32_t)f->head[5] & 0x7F) << 24 | (uint32_t)f->head[6] << 16 | (uint32_t)f->head[7] << 8 | f->head[8];
  return 1;
}

static int frame_type(const frames *f) { return f->head[3]; }
static int frame_flags(const frames *f) { return f->head[4]; }

static void begin_frame_in(meter *m, int64_t now) {
  frames *f = &m->in;
  int flags = frame_flags(f);
  m->pad_unread = 0;
  m->pad = 0;
  switch (frame_type(f)) {
    case DATA:
      m->pad_unread = (flags & PADDED) != 0;
      if (f->left == 0 && !(flags & END_STREAM)) count_idle_frame(m, now);
      break;
    case HEADERS: {
      m->block_bytes = f->left;
      if (f->stream <= m->last_id) break; // trailers, which no gRPC client sends
      open_call *call = open_new_call(m, f->stream, now);
      if (call) add_call_bytes(m, call, (int64_t)f->left * HEADER_EXPANSION);
      break;
    }
    case CONTINUATION: {
      m->block_bytes += f->left;
      count_idle_frame(m, now);
      open_call *call = find(m, f->stream);
      if (call) add_call_bytes(m, call, (int64_t)f->left * HEADER_EXPANSION);
      break;
    }
    case RST_STREAM:
      count_idle_frame(m, now);
      close_call(m, f->stream);
      break;
    case WINDOW_UPDATE: break;
    default: count_idle_frame(m, now);
  }
  if (m->block_bytes > m->budget->limits.header_block_bytes_max) flood(m);
}

// Parses message bytes: each message has a prefix of five bytes, its compression flag and length.
static void read_message_bytes(meter *m, const uint8_t *bytes, size_t count) {
  m->data_bytes += (int64_t)count;
  open_call *call = find(m, m->in.stream);
  if (!call) return; // ended already: the core drops them
  int64_t partial = 0;
  while (count > 0) {
    if (call->prefix_count < PREFIX) {
      call->prefix[call->prefix_count++] = *bytes++;
      count--;
      if (call->prefix_count < PREFIX) continue;
      const uint8_t *p = call->prefix;
      call->left = (int64_t)p[1] << 24 | (int64_t)p[2] << 16 | (int64_t)p[3] << 8 | p[4];
      if (call->left > m->budget->limits.announced_bytes_max) set_oversized(m, call->id);
    } else {
      size_t take = count < (size_t)call->left ? count : (size_t)call->left;
      bytes += take;
      count -= take;
      call->left -= (int64_t)take;
      call->arrived += (uint32_t)take;
      partial += (int64_t)take;
    }
    if (call->left == 0) {
      partial -= call->arrived;
      call->arrived = 0;
      call->prefix_count = 0;
    }
  }
  if (partial) add_partial(m, partial);
}

static void end_frame_in(meter *m) {
  frames *f = &m->in;
  int type = frame_type(f);
  if ((type == DATA || type == HEADERS) && frame_flags(f) & END_STREAM) {
    // A message truncated by the end of the call is discarded.
    open_call *call = find(m, f->stream);
    if (call && call->arrived) {
      add_partial(m, -(int64_t)call->arrived);
      call->arrived = 0;
    }
  }
  f->have = 0;
}

static void walk_in(meter *m, const uint8_t *bytes, size_t count, int64_t now) {
  frames *f = &m->in;
  if (m->preface_left > 0) {
    size_t skip = count < (size_t)m->preface_left ? count : (size_t)m->preface_left;
    m->preface_left -= (int)skip;
    bytes += skip;
    count -= skip;
  }
  while (count > 0 && !m->is_flooding) {
    if (f->have < FRAME_HEAD) {
      if (!read_head(f, &bytes, &count)) return;
      begin_frame_in(m, now);
    } else {
      if (m->pad_unread) {
        m->pad = *bytes++;
        m->pad_unread = 0;
        count--;
        f->left--;
        if (m->pad > f->left) m->pad = f->left;
      }
      size_t take = count < f->left ? count : f->left;
      if (frame_type(f) == DATA) {
        size_t body = f->left - m->pad;
        if (m->pad <= f->left && body > 0) read_message_bytes(m, bytes, take < body ? take : body);
        if (take > body) m->pad -= (uint32_t)(take - body);
      }
      bytes += take;
      count -= take;
      f->left -= (uint32_t)take;
    }
    if (f->have == FRAME_HEAD && f->left == 0) end_frame_in(m);
  }
}

static void walk_out(meter *m, const uint8_t *bytes, size_t count, int64_t now) {
  frames *f = &m->out;
  while (count > 0) {
    if (f->have < FRAME_HEAD) {
      if (!read_head(f, &bytes, &count)) return;
      if (frame_type(f) == RST_STREAM) {
        close_call(m, f->stream);
        count_idle_frame(m, now); // a client can make a server reset, too
      } else if (frame_type(f) == HEADERS && frame_flags(f) & END_STREAM) {
        close_call(m, f->stream);
      }
    } else {
      size_t take = count < f->left ? count : f->left;
      bytes += take;
      count -= take;
      f->left -= (uint32_t)take;
    }
    if (f->have == FRAME_HEAD && f->left == 0) f->have = 0;
  }
}

// MARK: Pausing

static int has_to_wait(const meter *m) {
  trace_meter_budget *b = m->budget;
  if (m->oversized_id || m->untaken > b->limits.untaken_calls_max) return 1;
  int64_t held = atomic_load(&b->held_bytes);
  if (atomic_load(&m->is_ingest) && held >= b->limits.held_bytes_max) return 1;
  if (m->partial_bytes > b->limits.small_bytes_max) {
    if (held >= b->limits.held_large_bytes_max) return 1;
    return !m->is_privileged && atomic_load(&b->large_bytes) >= b->limits.large_total_bytes_max;
  }
  return m->partial_bytes > 0 && !m->is_privileged &&
         atomic_load(&b->small_bytes) >= b->limits.small_total_bytes_max;
}

static void set_paused(meter *m, int on, int64_t now) {
  if (atomic_load(&m->is_paused) == on) return;
  atomic_fetch_add(&m->budget->paused, on ? 1 : -1);
  m->paused_since = on ? now : 0;
  atomic_store(&m->is_paused, on);
}

static void forget(meter *m) {
  if (!m->budget) return;
  set_paused(m, 0, 0);
  while (m->count > 0) close_call(m, m->calls[m->count - 1].id);
  add_partial(m, -m->partial_bytes);
  m->budget = NULL;
  free(m->calls);
  m->calls = NULL;
  m->capacity = 0;
}

// MARK: Replacements of the C library's functions

__attribute__((visibility("default"))) ssize_t recvmsg(int descriptor, struct msghdr *message, int flags) {
  meter *m = metered(descriptor);
  if (m && atomic_load_explicit(&m->is_paused, memory_order_relaxed)) {
    errno = EAGAIN;
    return -1;
  }
  ssize_t received = syscall(SYS_recvmsg, descriptor, message, flags);
  if (!m || flags & (MSG_ERRQUEUE | MSG_PEEK)) return received;
  int error = errno;
  pthread_mutex_lock(&m->lock);
  if (m->budget) {
    if (received > 0) {
      int64_t now = now_ns();
      size_t left = (size_t)received;
      m->last_active = now;
      for (size_t i = 0; i < message->msg_iovlen && left > 0; i++) {
        size_t count = message->msg_iov[i].iov_len < left ? message->msg_iov[i].iov_len : left;
        walk_in(m, message->msg_iov[i].iov_base, count, now);
        left -= count;
      }
      if (m->is_flooding) received = 0; // to the core the connection is over
      else if (has_to_wait(m)) set_paused(m, 1, now);
    }
    if (received == 0 || (received < 0 && error != EAGAIN && error != EINTR)) forget(m);
  }
  pthread_mutex_unlock(&m->lock);
  errno = error;
  return received;
}

__attribute__((visibility("default"))) ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
  meter *m = metered(descriptor);
  if (!m) return syscall(SYS_sendmsg, descriptor, message, flags);
  pthread_mutex_lock(&m->lock);
  ssize_t sent = syscall(SYS_sendmsg, descriptor, message, flags);
  int error = errno;
  if (m->budget && sent > 0) {
    int64_t now = now_ns();
    size_t left = (size_t)sent;
    m->last_active = now;
    for (size_t i = 0; i < message->msg_iovlen && left > 0; i++) {
      size_t count = message->msg_iov[i].iov_len < left ? message->msg_iov[i].iov_len : left;
      walk_out(m, message->msg_iov[i].iov_base, count, now);
      left -= count;
    }
    if (m->is_flooding) shutdown(descriptor, SHUT_RDWR); // the core's next read finds the end
  }
  pthread_mutex_unlock(&m->lock);
  errno = error;
  return sent;
}

// MARK: Interface for the server

// Locks and returns the meter of a connection; NULL if the budget's server does not meter it. A number that one server's
// core has closed may belong to a connection of another server before the first one notices.
static meter *lock_metered(const trace_meter_budget *budget, int descriptor) {
  meter *m = metered(descriptor);
  if (!m) return NULL;
  pthread_mutex_lock(&m->lock);
  if (m->budget == budget) return m;
  pthread_mutex_unlock(&m->lock);
  return NULL;
}

int trace_meter_is_in_place(void) { return dlsym(RTLD_DEFAULT, "recvmsg") == (void *)recvmsg; }

trace_meter_budget *trace_meter_budget_create(const trace_meter_limits *limits) {
  trace_meter_budget *budget = calloc(1, sizeof *budget);
  if (!budget) abort();
  budget->limits = *limits;
  return budget;
}

void trace_meter_budget_destroy(trace_meter_budget *budget) { free(budget); }

void trace_meter_budget_totals(trace_meter_budget *b, trace_meter_totals *totals) {
  totals->small_bytes = atomic_load(&b->small_bytes);
  totals->large_bytes = atomic_load(&b->large_bytes);
  totals->call_bytes = atomic_load(&b->call_bytes);
  totals->held_bytes = atomic_load(&b->held_bytes);
  totals->paused = atomic_load(&b->paused);
  totals->oversized = atomic_load(&b->oversized);
  totals->flooded = atomic_load(&b->flooded);
}

int64_t trace_meter_hold(trace_meter_budget *budget, int64_t bytes) {
  return atomic_fetch_add(&budget->held_bytes, bytes);
}

int trace_meter_begin(trace_meter_budget *budget, int descriptor) {
  if (descriptor < 0 || descriptor >= DESCRIPTORS) return 0;
  meter *m = metered(descriptor);
  if (!m) {
    m = calloc(1, sizeof *m);
    if (!m) return 0;
    pthread_mutex_init(&m->lock, NULL);
    m->descriptor = descriptor;
    meter *none = NULL;
    if (!atomic_compare_exchange_strong(&meters[descriptor], &none, m)) {
      pthread_mutex_destroy(&m->lock);
      free(m);
      m = none;
    }
  }
  pthread_mutex_lock(&m->lock);
  forget(m);
  int64_t now = now_ns();
  memset(&m->in, 0, sizeof m->in);
  memset(&m->out, 0, sizeof m->out);
  m->preface_left = PREFACE;
  m->pad_unread = 0;
  m->last_id = m->oversized_id = 0;
  m->block_bytes = m->data_bytes = m->partial_bytes = 0;
  m->call_bytes = 0;
  m->opened_sum = 0;
  m->is_privileged = m->is_flooding = 0;
  m->count = m->recent = m->untaken = 0;
  m->tokens = budget->limits.idle_frames_burst;
  m->tokens_at = m->last_active = now;
  m->paused_since = 0;
  atomic_store(&m->is_ingest, 0);
  m->budget = budget;
  pthread_mutex_unlock(&m->lock);
  return 1;
}

void trace_meter_end(trace_meter_budget *budget, int descriptor) {
  meter *m = lock_metered(budget, descriptor);
  if (!m) return;
  forget(m);
  pthread_mutex_unlock(&m->lock);
}

int trace_meter_inspect(trace_meter_budget *budget, int descriptor, int64_t now, trace_meter_view *view) {
  meter *m = lock_metered(budget, descriptor);
  if (!m) return 0;
  view->partial_bytes = m->partial_bytes;
  view->data_bytes = m->data_bytes;
  view->call_bytes = m->call_bytes;
  double age = (double)m->call_bytes * (double)(now / 1000) - m->opened_sum;
  view->call_byte_seconds = age > 0 ? (int64_t)(age / 1e6) : 0;
  view->paused_since = m->paused_since;
  view->last_active = m->last_active;
  view->open_calls = m->count;
  view->is_oversized = m->oversized_id != 0;
  view->is_privileged = m->is_privileged;
  pthread_mutex_unlock(&m->lock);
  return 1;
}

void trace_meter_take_call(trace_meter_budget *budget, int descriptor, int is_ingest) {
  meter *m = lock_metered(budget, descriptor);
  if (!m) return;
  if (is_ingest) atomic_store(&m->is_ingest, 1);
  if (m->untaken > 0) m->untaken--;
  int resumes = atomic_load(&m->is_paused) && m->untaken <= budget->limits.untaken_calls_max / 2;
  pthread_mutex_unlock(&m->lock);
  if (resumes) trace_meter_resume(budget, descriptor);
}

void trace_meter_set_privileged(trace_meter_budget *budget, int descriptor, int on) {
  meter *m = lock_metered(budget, descriptor);
  if (!m) return;
  m->is_privileged = on;
  pthread_mutex_unlock(&m->lock);
}

void trace_meter_resume(trace_meter_budget *budget, int descriptor) {
  meter *m = lock_metered(budget, descriptor);
  if (!m) return;
  int resumes = atomic_load(&m->is_paused) && !has_to_wait(m);
  if (resumes) set_paused(m, 0, 0);
  pthread_mutex_unlock(&m->lock);
  if (!resumes) return;
  // The core waits for an edge of epoll(7); setting this option causes one if there is data to read (tcp(7)).
  int one = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
}

int trace_meter_send_away(trace_meter_budget *budget, int descriptor) {
  // Length 8, type GOAWAY, stream 0; last stream id the highest possible, so that all calls are served; no error.
  static const uint8_t frame[] = {0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0};
  meter *m = lock_metered(budget, descriptor);
  if (!m) return 0;
  // Only between two of the core's own frames.
  int is_sent = 0;
  if (m->out.have == 0) {
    is_sent = send(descriptor, frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof frame;
  }
  pthread_mutex_unlock(&m->lock);
  return is_sent;
}
