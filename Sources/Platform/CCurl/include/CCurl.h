// HTTP requests by libcurl, signed with AWS Signature Version 4.
//
// libcurl is loaded when the first handle is opened, so that programs which never use an object store neither load it
// nor the thirty libraries below it. One thread at a time may use a handle.
#ifndef TRACE_CURL_H
#define TRACE_CURL_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *method; // "GET", "HEAD", "PUT", "POST" or "DELETE"
  const char *url;
  const char *signature; // provider and service as CURLOPT_AWS_SIGV4 takes them
  const char *key_id;
  const char *secret;
  const char *headers; // "name: value", each with a line feed behind it
  int64_t body_bytes; // size of the request's body; -1 if it has none
  long connect_seconds;
  long stall_seconds; // gives up if nothing is transferred for this long
  // Callbacks as libcurl takes them; each gets `context`.
  size_t (*read)(char *buffer, size_t size, size_t count, void *context);
  int (*seek)(void *context, int64_t offset, int origin);
  size_t (*write)(char *bytes, size_t size, size_t count, void *context);
  size_t (*header)(char *bytes, size_t size, size_t count, void *context);
  int (*is_cancelled)(void *context, int64_t, int64_t, int64_t, int64_t);
  void *context;
} trace_curl_request;

typedef enum {
  TRACE_CURL_DONE = 0, // a response came, of any status
  TRACE_CURL_CANCELLED,
  TRACE_CURL_UNREACHABLE,
  TRACE_CURL_NO_CERTIFICATE, // the server's certificate is not accepted
  TRACE_CURL_REFUSED,        // a callback ended the transfer
} trace_curl_outcome;

typedef struct {
  trace_curl_outcome outcome;
  long status;
  char message[256]; // what libcurl says of a failure
} trace_curl_result;

// Returns a handle, which keeps connections open between requests. Returns null, and why in `problem`, if libcurl cannot
// be loaded.
void *trace_curl_open(const char **problem);

void trace_curl_close(void *handle);

// Runs one request. Blocks.
void trace_curl_perform(void *handle, const trace_curl_request *request, trace_curl_result *result);

// What `read` returns to end the transfer.
static inline size_t trace_curl_read_abort(void) { return 0x10000000; }

#endif
