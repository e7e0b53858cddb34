#include "CChecksum.h"

#include <string.h>

// CRC-32C: the reflected Castagnoli polynomial with pre- and post-inversion (RFC 3720, appendix B.4). Processors with a
// CRC-32C instruction use it; others process eight bytes at a time with tables.
//
// In this file, a "state" is a CRC without the inversions.

static const uint32_t polynomial = 0x82f63b78;
static uint32_t tables[8][256];

static void make_tables(void) {
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t state = value;
        for (int bit = 0; bit < 8; bit++) state = state >> 1 ^ (state & 1 ? polynomial : 0);
        tables[0][value] = state;
    }
    for (uint32_t value = 0; value < 256; value++) {
        for (int table = 1; table < 8; table++) {
            uint32_t before = tables[table - 1][value];
            tables[table][value] = before >> 8 ^ tables[0][before & 0xff];
        }
    }
}

static uint64_t word_at(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint32_t advance_portably(uint32_t state, const unsigned char *at, size_t count) {
    for (; count >= 8; at += 8, count -= 8) {
        uint64_t word = word_at(at) ^ state;
        state = 0;
        for (int byte = 0; byte < 8; byte++) state ^= tables[7 - byte][word >> 8 * byte & 0xff];
    }
    for (; count > 0; at++, count--) state = state >> 8 ^ tables[0][(state ^ *at) & 0xff];
    return state;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define INSTRUCTION __attribute__((target("sse4.2")))
#define SUM_WORD(state, word) (uint32_t) _mm_crc32_u64(state, word)
#define SUM_BYTE(state, byte) _mm_crc32_u8(state, byte)
static int has_instruction(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define INSTRUCTION __attribute__((target("+crc")))
#define SUM_WORD(state, word) __crc32cd(state, word)
#define SUM_BYTE(state, byte) __crc32cb(state, byte)
static int has_instruction(void) {
    return (getauxval(AT_HWCAP) & 1 << 7) != 0; // HWCAP_CRC32
}
#endif

#ifdef INSTRUCTION
// The instruction has a latency of three cycles and a throughput of one per cycle, so three spans of a long buffer are
// computed in parallel. The state of A followed by B is the state of A, advanced over as many zero bytes as B has, XOR
// the state of B. Advancing is linear, so one table per byte of the state holds it.
enum { SPAN_BYTES = 1024 };
static uint32_t past_span[4][256];
static int uses_instruction;

INSTRUCTION static void make_span_tables(void) {
    uint32_t past_bit[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t state = (uint32_t)1 << bit;
        for (int at = 0; at < SPAN_BYTES; at += 8) state = SUM_WORD(state, 0);
        past_bit[bit] = state;
    }
    for (int place = 0; place < 4; place++) {
        for (int value = 0; value < 256; value++) {
            uint32_t state = 0;
            for (int bit = 0; bit < 8; bit++) {
                if (value >> bit & 1) state ^= past_bit[8 * place + bit];
            }
            past_span[place][value] = state;
        }
    }
}

static uint32_t advance_span(uint32_t state) {
    return past_span[0][state & 0xff] ^ past_span[1][state >> 8 & 0xff] ^ past_span[2][state >> 16 & 0xff]
        ^ past_span[3][state >> 24];
}

INSTRUCTION static uint32_t advance_by_instruction(uint32_t state, const unsigned char *at, size_t count) {
    for (; count >= 3 * SPAN_BYTES; at += 2 * SPAN_BYTES, count -= 3 * SPAN_BYTES) {
        uint32_t second = 0;
        uint32_t third = 0;
        for (const unsigned char *end = at + SPAN_BYTES; at < end; at += 8) {
            state = SUM_WORD(state, word_at(at));
            second = SUM_WORD(second, word_at(at + SPAN_BYTES));
            third = SUM_WORD(third, word_at(at + 2 * SPAN_BYTES));
        }
        state = advance_span(advance_span(state) ^ second) ^ third;
    }
    for (; count >= 8; at += 8, count -= 8) state = SUM_WORD(state, word_at(at));
    for (; count > 0; at++, count--) state = SUM_BYTE(state, *at);
    return state;
}
#endif

__attribute__((constructor)) static void prepare(void) {
    make_tables();
#ifdef INSTRUCTION
    uses_instruction = has_instruction();
    if (uses_instruction) make_span_tables();
#endif
}

uint32_t trace_crc32c(uint32_t crc, const void *bytes, size_t count) {
#ifdef INSTRUCTION
    if (uses_instruction) return ~advance_by_instruction(~crc, bytes, count);
#endif
    return ~advance_portably(~crc, bytes, count);
}

uint32_t trace_crc32c_portable(uint32_t crc, const void *bytes, size_t count) {
    return ~advance_portably(~crc, bytes, count);
}

// A linear function of states: what it makes of each bit.
typedef struct {
    uint32_t of_bit[32];
} function;

static uint32_t apply(const function *function, uint32_t state) {
    uint32_t result = 0;
    for (int bit = 0; bit < 32; bit++) {
        if (state >> bit & 1) result ^= function->of_bit[bit];
    }
    return result;
}

static function twice(const function *once) {
    function result;
    for (int bit = 0; bit < 32; bit++) result.of_bit[bit] = apply(once, once->of_bit[bit]);
    return result;
}

uint32_t trace_crc32c_joined(uint32_t first, uint32_t second, size_t count) {
    // The state of the first is advanced over as many zero bytes as the second has, by squaring. The inversions of both
    // cancel out.
    function advance;
    const unsigned char zero = 0;
    for (int bit = 0; bit < 32; bit++) advance.of_bit[bit] = advance_portably((uint32_t)1 << bit, &zero, 1);
    for (;; advance = twice(&advance)) {
        if (count & 1) first = apply(&advance, first);
        count >>= 1;
        if (count == 0) return first ^ second;
    }
}
