#include "CChecksum.h"

#include <nmmintrin.h>
#include <string.h>

// The SSE4.2 instruction computes the reflected Castagnoli polynomial; pre- and post-inversion as
// in RFC 3720, appendix B.4.
uint32_t trace_crc32c(uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    uint64_t state = (uint32_t)~crc;
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        state = _mm_crc32_u64(state, word);
        at += 8;
        count -= 8;
    }
    while (count > 0) {
        state = _mm_crc32_u8((uint32_t)state, *at);
        at += 1;
        count -= 1;
    }
    return ~(uint32_t)state;
}
