#include "CBuildInfo.h"

#define TEXT(token) #token
#define TEXT_OF(macro) TEXT(macro)

// A target of its own, so that another commit compiles this file alone and links the programs again.
#ifdef TRACE_COMMIT
const char *trace_build_commit(void) { return TEXT_OF(TRACE_COMMIT); }
#else
const char *trace_build_commit(void) { return ""; }
#endif
