#include "CChecksum.h"

#include <nmmintrin.h>
#include <string.h>

// The CRC instruction has a latency of three cycles and a throughput of one per cycle, so three lanes of a long buffer
// are computed in parallel. The CRC of A followed by B is the CRC of A advanced over as many zero bytes as B has, XOR
// the CRC of B. Advancing is linear, so one table per byte of the CRC holds it.
enum { LANE_BYTES = 1024 };
static uint32_t moved_past_lane[4][256];

static uint64_t word_at(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

__attribute__((constructor)) static void make_tables(void) {
    uint32_t moved_bit[32];
    for (int bit = 0; bit < 32; bit++) {
        uint64_t state = (uint32_t)1 << bit;
        for (int at = 0; at < LANE_BYTES; at += 8) state = _mm_crc32_u64(state, 0);
        moved_bit[bit] = (uint32_t)state;
    }
    for (int place = 0; place < 4; place++) {
        for (int value = 0; value < 256; value++) {
            uint32_t sum = 0;
            for (int bit = 0; bit < 8; bit++) {
                if (value >> bit & 1) sum ^= moved_bit[8 * place + bit];
            }
            moved_past_lane[place][value] = sum;
        }
    }
}

static uint32_t moved(uint32_t sum) {
    return moved_past_lane[0][sum & 0xff] ^ moved_past_lane[1][sum >> 8 & 0xff]
        ^ moved_past_lane[2][sum >> 16 & 0xff] ^ moved_past_lane[3][sum >> 24];
}

// The SSE4.2 instruction computes the reflected Castagnoli polynomial; pre- and post-inversion as in RFC 3720, appendix
// B.4.
uint32_t trace_crc32c(uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    uint64_t state = (uint32_t)~crc;
    while (count >= 3 * LANE_BYTES) {
        uint64_t second = 0;
        uint64_t third = 0;
        for (const unsigned char *end = at + LANE_BYTES; at < end; at += 8) {
            state = _mm_crc32_u64(state, word_at(at));
            second = _mm_crc32_u64(second, word_at(at + LANE_BYTES));
            third = _mm_crc32_u64(third, word_at(at + 2 * LANE_BYTES));
        }
        state = moved(moved((uint32_t)state) ^ (uint32_t)second) ^ (uint32_t)third;
        at += 2 * LANE_BYTES;
        count -= 3 * LANE_BYTES;
    }
    while (count >= 8) {
        state = _mm_crc32_u64(state, word_at(at));
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
