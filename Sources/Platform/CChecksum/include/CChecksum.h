#ifndef TRACE_CHECKSUM_H
#define TRACE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli) of `count` bytes, continuing from `crc` (0 to begin).
uint32_t trace_crc32c(uint32_t crc, const void *bytes, size_t count);

#endif
