#define _GNU_SOURCE
#include "CCurl.h"

// The checks of this header call curl_easy_setopt by its name, and it is called through a pointer here.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CURL_READFUNC_ABORT == 0x10000000, "see trace_curl_read_abort");

static struct {
  __typeof__(&curl_global_init) global_init;
  __typeof__(&curl_easy_init) init;
  __typeof__(&curl_easy_reset) reset;
  CURLcode (*setopt)(CURL *, CURLoption, ...);
  CURLcode (*getinfo)(CURL *, CURLINFO, ...);
  __typeof__(&curl_easy_perform) perform;
  __typeof__(&curl_easy_cleanup) cleanup;
  __typeof__(&curl_easy_strerror) strerror;
  __typeof__(&curl_slist_append) append;
  __typeof__(&curl_slist_free_all) free_all;
} curl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *load_problem;

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (!found) load_problem = "libcurl.so.4 is not the library that Debian 12 has";
  return found;
}

static void load(void) {
  void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    load_problem = "libcurl.so.4 cannot be loaded";
    return;
  }
  curl.global_init = (__typeof__(curl.global_init))symbol(library, "curl_global_init");
  curl.init = (__typeof__(curl.init))symbol(library, "curl_easy_init");
  curl.reset = (__typeof__(curl.reset))symbol(library, "curl_easy_reset");
  curl.setopt = (__typeof__(curl.setopt))symbol(library, "curl_easy_setopt");
  curl.getinfo = (__typeof__(curl.getinfo))symbol(library, "curl_easy_getinfo");
  curl.perform = (__typeof__(curl.perform))symbol(library, "curl_easy_perform");
  curl.cleanup = (__typeof__(curl.cleanup))symbol(library, "curl_easy_cleanup");
  curl.strerror = (__typeof__(curl.strerror))symbol(library, "curl_easy_strerror");
  curl.append = (__typeof__(curl.append))symbol(library, "curl_slist_append");
  curl.free_all = (__typeof__(curl.free_all))symbol(library, "curl_slist_free_all");
  if (!load_problem && curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    load_problem = "libcurl cannot be initialised";
}

void *trace_curl_open(const char **problem) {
  pthread_once(&once, load);
  *problem = load_problem;
  if (load_problem) return NULL;
  void *handle = curl.init();
  if (!handle) *problem = "libcurl has no memory";
  return handle;
}

void trace_curl_close(void *handle) { curl.cleanup(handle); }

static trace_curl_outcome outcome(CURLcode code) {
  switch (code) {
  case CURLE_OK: return TRACE_CURL_DONE;
  case CURLE_ABORTED_BY_CALLBACK: return TRACE_CURL_CANCELLED;
  case CURLE_PEER_FAILED_VERIFICATION: return TRACE_CURL_NO_CERTIFICATE;
  case CURLE_WRITE_ERROR: return TRACE_CURL_REFUSED;
  default: return TRACE_CURL_UNREACHABLE;
  }
}

void trace_curl_perform(void *handle, const trace_curl_request *request, trace_curl_result *result) {
  memset(result, 0, sizeof *result);
  struct curl_slist *headers = NULL;
  for (const char *line = request->headers, *end; (end = strchr(line, '\n')); line = end + 1) {
    char *copy = strndup(line, (size_t)(end - line));
    struct curl_slist *longer = copy ? curl.append(headers, copy) : NULL;
    free(copy);
    if (!longer) break; // Without memory a header is missing, and the request is refused.
    headers = longer;
  }
  curl.reset(handle); // Connections stay open.
  curl.setopt(handle, CURLOPT_URL, request->url);
  curl.setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  // A path is signed as it is sent.
  curl.setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl.setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
  curl.setopt(handle, CURLOPT_HTTPHEADER, headers);
  curl.setopt(handle, CURLOPT_AWS_SIGV4, request->signature);
  curl.setopt(handle, CURLOPT_USERNAME, request->key_id);
  curl.setopt(handle, CURLOPT_PASSWORD, request->secret);
  curl.setopt(handle, CURLOPT_ERRORBUFFER, result->message);
  curl.setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl.setopt(handle, CURLOPT_CONNECTTIMEOUT, request->connect_seconds);
  curl.setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl.setopt(handle, CURLOPT_LOW_SPEED_TIME, request->stall_seconds);
  curl.setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl.setopt(handle, CURLOPT_XFERINFOFUNCTION, request->is_cancelled);
  curl.setopt(handle, CURLOPT_XFERINFODATA, request->context);
  curl.setopt(handle, CURLOPT_WRITEFUNCTION, request->write);
  curl.setopt(handle, CURLOPT_WRITEDATA, request->context);
  curl.setopt(handle, CURLOPT_HEADERFUNCTION, request->header);
  curl.setopt(handle, CURLOPT_HEADERDATA, request->context);
  if (strcmp(request->method, "HEAD") == 0) curl.setopt(handle, CURLOPT_NOBODY, 1L);
  if (request->body_bytes >= 0) {
    curl.setopt(handle, CURLOPT_UPLOAD, 1L);
    curl.setopt(handle, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_bytes);
    curl.setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    curl.setopt(handle, CURLOPT_READFUNCTION, request->read);
    curl.setopt(handle, CURLOPT_READDATA, request->context);
    curl.setopt(handle, CURLOPT_SEEKFUNCTION, request->seek);
    curl.setopt(handle, CURLOPT_SEEKDATA, request->context);
  }
  CURLcode code = curl.perform(handle);
  curl.getinfo(handle, CURLINFO_RESPONSE_CODE, &result->status);
  result->outcome = outcome(code);
  if (code != CURLE_OK && !result->message[0])
    snprintf(result->message, sizeof result->message, "%s", curl.strerror(code));
  // The handle must not keep a pointer into `result`.
  curl.setopt(handle, CURLOPT_ERRORBUFFER, NULL);
  curl.free_all(headers);
}
