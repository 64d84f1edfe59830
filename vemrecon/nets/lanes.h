/* What the kernels share: vectors of eight floats, their exponential, and rows that do not fill the last vector. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t whole __attribute__((vector_size(4 * LANES)));

static inline vec splat(float x) { return x - (vec){0}; }

/* exp(x) for x <= 0 within two units in the last place; 0 below -87, where float32 ends. */
static inline vec decay(vec x) {
    const vec magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to whole numbers */
    vec shifted = x * 1.44269504f + magic, k = shifted - magic;
    vec r = x - k * 0.693359375f + k * 2.12194440e-4f; /* ln 2 in two parts */
    vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    whole power = ((whole)shifted + (127 - 0x4B400000)) << 23;
    return (vec)((whole)(p * (vec)power) & (x > -87.0f));
}

static inline float total(vec x) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}

#define INLINE static inline __attribute__((always_inline))

typedef float loose __attribute__((vector_size(4 * LANES), aligned(4))); /* a vector that begins anywhere */

/* Channels of a row, zeros behind them. */
INLINE void load(vec *to, const float *from, int64_t channels, const int vectors) {
    for (int v = 0; v < vectors; v++, from += LANES, channels -= LANES)
        if (channels >= LANES) {
            to[v] = *(const loose *)from;
        } else {
            to[v] = (vec){0};
            for (int i = 0; i < channels; i++) to[v][i] = from[i];
        }
}

INLINE void store(float *to, const vec *from, int64_t channels, const int vectors) {
    for (int v = 0; v < vectors; v++, to += LANES, channels -= LANES)
        if (channels >= LANES)
            *(loose *)to = from[v];
        else
            for (int i = 0; i < channels; i++) to[i] = from[v][i];
}
