#define _GNU_SOURCE
#include "CNATS.h"

#include <dlfcn.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUNCTIONS(X)                                                                                                   \
  X(natsOptions_Create)                                                                                                \
  X(natsOptions_Destroy)                                                                                               \
  X(natsOptions_SetServers)                                                                                            \
  X(natsOptions_SetName)                                                                                               \
  X(natsOptions_SetTimeout)                                                                                            \
  X(natsOptions_SetMaxReconnect)                                                                                       \
  X(natsOptions_SetReconnectWait)                                                                                      \
  X(natsOptions_SetReconnectJitter)                                                                                    \
  X(natsOptions_SetPingInterval)                                                                                       \
  X(natsOptions_SetMaxPingsOut)                                                                                        \
  X(natsOptions_SetSendAsap)                                                                                           \
  X(natsOptions_SetWriteDeadline)                                                                                      \
  X(natsConnection_Connect)                                                                                            \
  X(natsConnection_Destroy)                                                                                            \
  X(natsConnection_Status)                                                                                             \
  X(natsConnection_GetMaxPayload)                                                                                      \
  X(natsConnection_PublishMsg)                                                                                         \
  X(natsConnection_SubscribeSync)                                                                                      \
  X(natsSubscription_SetPendingLimits)                                                                                 \
  X(natsSubscription_NextMsg)                                                                                          \
  X(natsSubscription_Destroy)                                                                                          \
  X(natsInbox_Create)                                                                                                  \
  X(natsInbox_Destroy)                                                                                                 \
  X(natsMsg_Create)                                                                                                    \
  X(natsMsg_Destroy)                                                                                                   \
  X(natsMsg_GetSubject)                                                                                                \
  X(natsMsg_GetData)                                                                                                   \
  X(natsMsg_GetDataLength)                                                                                             \
  X(natsMsgHeader_Set)                                                                                                 \
  X(natsMsgHeader_Get)                                                                                                 \
  X(natsStatus_GetText)

static struct {
#define FIELD(name) __typeof__(&name) name;
  FUNCTIONS(FIELD)
#undef FIELD
} nats;

struct trace_nats {
  natsConnection *connection;
  natsSubscription *answers;
  natsInbox *inbox;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *load_problem;

static void load(void) {
  void *library = dlopen("libnats.so.3.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    load_problem = "libnats.so.3.4 cannot be loaded";
    return;
  }
#define LOAD(name)                                                                                                     \
  nats.name = (__typeof__(nats.name))dlsym(library, #name);                                                            \
  if (!nats.name) load_problem = "libnats.so.3.4 is not the library that Debian 12 has";
  FUNCTIONS(LOAD)
#undef LOAD
}

static natsStatus options(natsOptions *options, const char *const *urls, int count, const char *name, int64_t timeout) {
  natsStatus s = nats.natsOptions_SetServers(options, (const char **)urls, count);
  if (s == NATS_OK) s = nats.natsOptions_SetName(options, name);
  if (s == NATS_OK) s = nats.natsOptions_SetTimeout(options, timeout);
  if (s == NATS_OK) s = nats.natsOptions_SetMaxReconnect(options, -1);
  if (s == NATS_OK) s = nats.natsOptions_SetReconnectWait(options, 100);
  if (s == NATS_OK) s = nats.natsOptions_SetReconnectJitter(options, 50, 50);
  // A server that is gone without closing its connections is noticed after three of these.
  if (s == NATS_OK) s = nats.natsOptions_SetPingInterval(options, 1000);
  if (s == NATS_OK) s = nats.natsOptions_SetMaxPingsOut(options, 2);
  if (s == NATS_OK) s = nats.natsOptions_SetSendAsap(options, true);
  if (s == NATS_OK) s = nats.natsOptions_SetWriteDeadline(options, timeout);
  return s;
}

static natsStatus subscribe(trace_nats *opened) {
  natsStatus s = nats.natsInbox_Create(&opened->inbox);
  if (s != NATS_OK) return s;
  char subject[256];
  snprintf(subject, sizeof subject, "%s.*", opened->inbox);
  s = nats.natsConnection_SubscribeSync(&opened->answers, opened->connection, subject);
  // Answers are bounded by what is sent.
  if (s == NATS_OK) s = nats.natsSubscription_SetPendingLimits(opened->answers, -1, -1);
  return s;
}

trace_nats *trace_nats_open(const char *const *urls, int count, const char *name, int64_t timeout_milliseconds,
                            const char **problem, bool *is_loaded) {
  pthread_once(&once, load);
  *problem = load_problem;
  *is_loaded = !load_problem;
  if (load_problem) return NULL;
  trace_nats *opened = calloc(1, sizeof *opened);
  natsOptions *set = NULL;
  natsStatus s = opened ? nats.natsOptions_Create(&set) : NATS_NO_MEMORY;
  if (s == NATS_OK) s = options(set, urls, count, name, timeout_milliseconds);
  if (s == NATS_OK) s = nats.natsConnection_Connect(&opened->connection, set);
  if (s == NATS_OK) s = subscribe(opened);
  if (set) nats.natsOptions_Destroy(set);
  if (s == NATS_OK) return opened;
  *problem = nats.natsStatus_GetText(s);
  if (opened) trace_nats_close(opened);
  return NULL;
}

void trace_nats_close(trace_nats *connection) {
  if (connection->answers) nats.natsSubscription_Destroy(connection->answers);
  if (connection->connection) nats.natsConnection_Destroy(connection->connection);
  if (connection->inbox) nats.natsInbox_Destroy(connection->inbox);
  free(connection);
}

bool trace_nats_is_connected(trace_nats *connection) {
  return nats.natsConnection_Status(connection->connection) == NATS_CONN_STATUS_CONNECTED;
}

int64_t trace_nats_payload_max(trace_nats *connection) {
  return nats.natsConnection_GetMaxPayload(connection->connection);
}

static natsStatus set_headers(natsMsg *message, const char *headers) {
  char name[64], value[256];
  for (const char *line = headers, *end; (end = strchr(line, '\n')); line = end + 1) {
    const char *colon = strchr(line, ':');
    if (!colon || colon > end || colon - line >= (int)sizeof name || end - colon - 2 >= (int)sizeof value)
      return NATS_INVALID_ARG;
    snprintf(name, sizeof name, "%.*s", (int)(colon - line), line);
    snprintf(value, sizeof value, "%.*s", (int)(end - colon - 2), colon + 2);
    natsStatus s = nats.natsMsgHeader_Set(message, name, value);
    if (s != NATS_OK) return s;
  }
  return NATS_OK;
}

const char *trace_nats_send(trace_nats *connection, const char *subject, uint64_t ticket, const char *headers,
                            const void *bytes, int count) {
  char reply[256];
  snprintf(reply, sizeof reply, "%s.%llu", connection->inbox, (unsigned long long)ticket);
  natsMsg *message = NULL;
  natsStatus s = nats.natsMsg_Create(&message, subject, reply, bytes, count);
  if (s == NATS_OK) s = set_headers(message, headers);
  if (s == NATS_OK) s = nats.natsConnection_PublishMsg(connection->connection, message);
  nats.natsMsg_Destroy(message);
  return s == NATS_OK ? NULL : nats.natsStatus_GetText(s);
}

static void wait(int64_t milliseconds) {
  struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
  nanosleep(&time, NULL);
}

bool trace_nats_next(trace_nats *connection, int64_t timeout_milliseconds, trace_nats_answer *answer) {
  memset(answer, 0, sizeof *answer);
  natsMsg *message = NULL;
  natsStatus s = nats.natsSubscription_NextMsg(&message, connection->answers, timeout_milliseconds);
  if (s != NATS_OK) {
    // Else a caller that waits in a loop would not wait.
    if (s != NATS_TIMEOUT) wait(timeout_milliseconds);
    return false;
  }
  const char *subject = nats.natsMsg_GetSubject(message), *dot = strrchr(subject, '.'), *status = NULL;
  answer->handle = message;
  answer->ticket = dot ? strtoull(dot + 1, NULL, 10) : 0;
  answer->bytes = nats.natsMsg_GetData(message);
  answer->count = nats.natsMsg_GetDataLength(message);
  if (nats.natsMsgHeader_Get(message, "Status", &status) == NATS_OK) answer->status = atoi(status);
  return true;
}

const char *trace_nats_header(const trace_nats_answer *answer, const char *name) {
  const char *value = NULL;
  return nats.natsMsgHeader_Get(answer->handle, name, &value) == NATS_OK ? value : NULL;
}

void trace_nats_release(trace_nats_answer *answer) {
  nats.natsMsg_Destroy(answer->handle);
  answer->handle = NULL;
}
