#ifndef TRACE_CHECKSUM_H
#define TRACE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// Returns the CRC-32C (Castagnoli) of `count` bytes, continuing from `crc` (0 at the start). Uses the processor's
/// CRC-32C instruction if it has one.
uint32_t trace_crc32c(uint32_t crc, const void *bytes, size_t count);

/// Returns the CRC-32C of two byte strings in turn, from the CRC-32C of each and the size of the second. O(log count).
uint32_t trace_crc32c_joined(uint32_t first, uint32_t second, size_t count);

/// Returns the same as `trace_crc32c` without that instruction; for tests.
uint32_t trace_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

#endif
