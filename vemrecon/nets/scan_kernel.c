/* The selective scan of one sequence in float32; see scan_compiled.py for the arguments.
 *
 * Arguments are structures of addresses and strides. A row holds the channels of one step side by side, and `order` says which row each step reads and writes. Channels go
 * eight to a vector; the states of a run of at most `MOST` vectors of channels stay close to the processor.
 */

#include "lanes.h"

#define MOST 4

typedef struct { /* what both passes read; `wide` channels of all runs lie between the states of a, last and starts */
    int64_t wide, steps, state;
    const int64_t *order;
    const float *u, *dt, *a, *b, *c, *skip;
    int64_t u_row, dt_row, b_row, c_row, block;
} inputs;

/* The inputs of a block of steps side by side. Rows lie far apart, so all are asked for before one is needed. */
INLINE void gather(const int vectors, int64_t channels, const inputs *in, int64_t first, int64_t count, int64_t *rows,
                   vec *u, vec *dt) {
    for (int64_t i = 0; i < count; i++) {
        int64_t row = rows[i] = in->order ? in->order[first + i] : first + i;
        __builtin_prefetch(in->b + row * in->b_row);
        __builtin_prefetch(in->c + row * in->c_row);
        load(u + i * vectors, in->u + row * in->u_row, channels, vectors);
        load(dt + i * vectors, in->dt + row * in->dt_row, channels, vectors);
    }
}

INLINE void forward(const int vectors, int64_t channels, const inputs *in, float *y, int64_t y_row, float *last,
                    float *starts, vec *scratch, int64_t *rows) {
    const int64_t state = in->state, size = state * vectors;
    vec *rates = scratch, *h = rates + size, *u = h + size, *dt = u + in->block * vectors, direct[MOST];
    for (int64_t n = 0; n < state; n++) load(rates + n * vectors, in->a + n * in->wide, channels, vectors);
    memset(h, 0, sizeof(vec) * size);
    memset(direct, 0, sizeof direct);
    if (in->skip) load(direct, in->skip, channels, vectors);
    for (int64_t first = 0; first < in->steps; first += in->block) {
        const int64_t count = in->steps - first < in->block ? in->steps - first : in->block;
        for (int64_t n = 0; starts && n < state; n++)
            store(starts + (first / in->block * state + n) * in->wide, h + n * vectors, channels, vectors);
        gather(vectors, channels, in, first, count, rows, u, dt);
        for (int64_t i = 0; i < count; i++) {
            const float *write = in->b + rows[i] * in->b_row, *look = in->c + rows[i] * in->c_row;
            vec step[MOST], added[MOST], sum[MOST];
            for (int v = 0; v < vectors; v++) {
                step[v] = dt[i * vectors + v];
                sum[v] = u[i * vectors + v] * direct[v];
                added[v] = u[i * vectors + v] * step[v];
            }
            for (int64_t n = 0; n < state; n++)
                for (int v = 0; v < vectors; v++) {
                    vec now = decay(step[v] * rates[n * vectors + v]) * h[n * vectors + v] + added[v] * write[n];
                    h[n * vectors + v] = now;
                    sum[v] += now * look[n];
                }
            store(y + rows[i] * y_row, sum, channels, vectors);
        }
    }
    for (int64_t n = 0; n < state; n++) store(last + n * in->wide, h + n * vectors, channels, vectors);
}

typedef struct { /* by_u and by_dt have rows of one length, and so have by_b and by_c */
    float *u, *dt, *a, *b, *c, *skip;
    int64_t row, state_row;
} results;

/* Gradients of a run of channels. Those by b and c sum over all runs; those by a and skip over all steps. */
INLINE void backward(const int vectors, int64_t channels, const inputs *in, const float *starts, const float *by_y,
                     int64_t y_row, const float *by_last, const results *by, vec *scratch, int64_t *rows) {
    const int64_t state = in->state, size = state * vectors, block = in->block, all = block * vectors;
    vec *rates = scratch, *g = rates + size, *rates_sum = g + size, *u = rates_sum + size, *dt = u + all;
    vec *incoming = dt + all, *decays = incoming + all, *states = decays + block * size;
    vec direct[MOST], direct_sum[MOST];
    memset(rates_sum, 0, sizeof(vec) * size);
    memset(direct, 0, sizeof direct);
    memset(direct_sum, 0, sizeof direct_sum);
    if (in->skip) load(direct, in->skip, channels, vectors);
    for (int64_t n = 0; n < state; n++) {
        load(rates + n * vectors, in->a + n * in->wide, channels, vectors);
        load(g + n * vectors, by_last + n * in->wide, channels, vectors);
    }
    for (int64_t first = (in->steps - 1) / block * block; first >= 0; first -= block) {
        const int64_t count = in->steps - first < block ? in->steps - first : block;
        for (int64_t n = 0; n < state; n++)
            load(states + n * vectors, starts + (first / block * state + n) * in->wide, channels, vectors);
        gather(vectors, channels, in, first, count, rows, u, dt);
        for (int64_t i = 0; i < count; i++) {
            const float *write = in->b + rows[i] * in->b_row;
            vec *before = states + i * size, *after = before + size;
            load(incoming + i * vectors, by_y + rows[i] * y_row, channels, vectors);
            for (int64_t n = 0; n < state; n++)
                for (int v = 0; v < vectors; v++) {
                    vec step = dt[i * vectors + v], factor = decay(step * rates[n * vectors + v]);
                    decays[i * size + n * vectors + v] = factor;
                    after[n * vectors + v] = factor * before[n * vectors + v] + step * u[i * vectors + v] * write[n];
                }
        }
        for (int64_t i = count - 1; i >= 0; i--) {
            const float *write = in->b + rows[i] * in->b_row, *look = in->c + rows[i] * in->c_row;
            float *by_b = by->b + rows[i] * by->state_row, *by_c = by->c + rows[i] * by->state_row;
            vec *before = states + i * size, *after = before + size, *factor = decays + i * size;
            vec step[MOST], added[MOST], seen[MOST], by_input[MOST], by_step[MOST];
            for (int v = 0; v < vectors; v++) {
                step[v] = dt[i * vectors + v];
                added[v] = step[v] * u[i * vectors + v];
                seen[v] = incoming[i * vectors + v];
                by_input[v] = by_step[v] = (vec){0};
            }
            for (int64_t n = 0; n < state; n++) {
                vec to_b = {0}, to_c = {0};
                for (int v = 0; v < vectors; v++) {
                    const int64_t at = n * vectors + v;
                    vec adjoint = g[at] + seen[v] * look[n];
                    to_c += after[at] * seen[v];
                    to_b += adjoint * added[v];
                    by_input[v] += adjoint * write[n];
                    adjoint *= factor[at];
                    vec exponent = adjoint * before[at]; /* gradient by dt * a */
                    rates_sum[at] += exponent * step[v];
                    by_step[v] += exponent * rates[at];
                    g[at] = adjoint;
                }
                by_b[n] += total(to_b);
                by_c[n] += total(to_c);
            }
            for (int v = 0; v < vectors; v++) {
                by_step[v] += by_input[v] * u[i * vectors + v];
                by_input[v] = by_input[v] * step[v] + seen[v] * direct[v];
                direct_sum[v] += seen[v] * u[i * vectors + v];
            }
            store(by->dt + rows[i] * by->row, by_step, channels, vectors);
            store(by->u + rows[i] * by->row, by_input, channels, vectors);
        }
    }
    for (int64_t n = 0; n < state; n++) store(by->a + n * in->wide, rates_sum + n * vectors, channels, vectors);
    store(by->skip, direct_sum, channels, vectors);
}

/* Both entries go through the channels in runs and return 0, or 1 for want of memory. */
#define IN_RUNS(call)                                                               \
    for (int64_t from = 0; from < in->wide; from += MOST * LANES) {                 \
        int64_t left = in->wide - from, channels = left < MOST * LANES ? left : MOST * LANES; \
        inputs part = *in;                                                          \
        part.u += from, part.dt += from, part.a += from;                            \
        if (part.skip) part.skip += from;                                           \
        switch ((channels + LANES - 1) / LANES) {                                   \
            case 1: call(1); break;                                                 \
            case 2: call(2); break;                                                 \
            case 3: call(3); break;                                                 \
            default: call(4);                                                       \
        }                                                                           \
    }

int scan_forward(const inputs *in, float *y, int64_t y_row, float *last, float *starts) {
    vec *scratch = aligned_alloc(sizeof(vec), sizeof(vec) * MOST * 2 * (in->state + in->block));
    int64_t *rows = malloc(sizeof(int64_t) * in->block);
    const int failed = !scratch || !rows;
#define CALL(vectors) \
    forward(vectors, channels, &part, y + from, y_row, last + from, starts ? starts + from : 0, scratch, rows)
    if (!failed) IN_RUNS(CALL)
#undef CALL
    free(scratch);
    free(rows);
    return failed;
}

int scan_backward(const inputs *in, const float *starts, const float *by_y, int64_t y_row, const float *by_last,
                  const results *to) {
    vec *scratch = aligned_alloc(sizeof(vec), sizeof(vec) * MOST * (4 * in->state + in->block * (2 * in->state + 3)));
    int64_t *rows = malloc(sizeof(int64_t) * in->block);
    const int failed = !scratch || !rows;
    results by = *to;
#define CALL(vectors)                                                                                    \
    by.u = to->u + from, by.dt = to->dt + from, by.a = to->a + from, by.skip = to->skip + from;          \
    backward(vectors, channels, &part, starts + from, by_y + from, y_row, by_last + from, &by, scratch, rows)
    if (!failed) IN_RUNS(CALL)
#undef CALL
    free(scratch);
    free(rows);
    return failed;
}
