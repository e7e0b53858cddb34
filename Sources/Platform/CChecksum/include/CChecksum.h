#ifndef TRACE_CHECKSUM_H
#define TRACE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// Returns the CRC-32C (Castagnoli) of `count` bytes, continuing from `crc` (0 at the start). Uses the processor's
/// CRC-32C instruction if it has one.
uint32_t trace_crc32c(uint32_t crc, const void *bytes, size_t count);

/// Returns the same without that instruction; for tests.
uint32_t trace_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

#endif
