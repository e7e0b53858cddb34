#ifndef TRACE_CHECKSUM_H
#define TRACE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli) of `count` bytes, continuing from `crc` (0 to begin). Uses the processor's instruction where there is one.
uint32_t trace_crc32c(uint32_t crc, const void *bytes, size_t count);

/// The same without any special instruction: what a processor that has none computes. For tests.
uint32_t trace_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

#endif
