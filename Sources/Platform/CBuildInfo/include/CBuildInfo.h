// Which commit this program was built from.
#ifndef TRACE_BUILD_INFO_H
#define TRACE_BUILD_INFO_H

// The commit that the build was given in TRACE_COMMIT; empty for a plain `swift build`. Lives for ever.
const char *trace_build_commit(void);

#endif
