/* Softmax attention inside small windows in float32; see attention_compiled.py for the arguments. */

#include "lanes.h"

typedef struct {
    int64_t windows, heads, width, queries, keys; /* of one window; width of a head */
    const float *q, *k, *v, *added;
    const int64_t *kind; /* which table of `added` a window has, or 0 for the first */
    float *out;
    int64_t window, row, out_window, out_row; /* numbers from one window or token to the next, in and out */
    float scale;
} arguments;

INLINE float largest(vec x) {
    float most = x[0];
    for (int i = 1; i < LANES; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* `parts` vectors hold the channels of a head, `blocks` vectors the keys; `added` has whole vectors of keys. */
INLINE void attend(const int parts, const arguments *of, int64_t blocks, int64_t window, int64_t head, vec *keys,
                   vec *values, vec *weights) {
    const int64_t in = window * of->window + head * of->width, all = of->heads * of->queries * blocks * LANES;
    const float *table = of->added + (of->kind ? of->kind[window] : 0) * all + head * of->queries * blocks * LANES;
    memset(keys, 0, sizeof(vec) * of->width * blocks);
    for (int64_t j = 0; j < of->keys; j++) {
        const float *k = of->k + in + j * of->row;
        for (int64_t d = 0; d < of->width; d++) ((float *)(keys + d * blocks))[j] = k[d];
        load(values + j * parts, of->v + in + j * of->row, of->width, parts);
    }
    for (int64_t i = 0; i < of->queries; i++) {
        const float *q = of->q + in + i * of->row, *extra = table + i * blocks * LANES;
        vec most = splat(-1e30f), sum = {0}, found[4][4] = {{{0}}};
        for (int64_t block = 0; block < blocks; block++) {
            vec logit = {0};
            for (int64_t d = 0; d < of->width; d++) logit += keys[d * blocks + block] * q[d];
            logit = logit * of->scale + *(const loose *)(extra + block * LANES);
            weights[block] = logit;
            most = (vec)(((whole)logit & (logit > most)) | ((whole)most & ~(logit > most)));
        }
        const vec peak = splat(largest(most));
        for (int64_t block = 0; block < blocks; block++) sum += weights[block] = decay(weights[block] - peak);
        const float *weight = (const float *)weights;
        int64_t j = 0;
        for (; j + 4 <= of->keys; j += 4)
            for (int s = 0; s < 4; s++) /* sums of their own, so that none waits for the other */
                for (int p = 0; p < parts; p++) found[s][p] += values[(j + s) * parts + p] * weight[j + s];
        for (; j < of->keys; j++)
            for (int p = 0; p < parts; p++) found[0][p] += values[j * parts + p] * weight[j];
        const float share = 1 / total(sum);
        for (int p = 0; p < parts; p++) found[0][p] = (found[0][p] + found[1][p] + (found[2][p] + found[3][p])) * share;
        store(of->out + window * of->out_window + i * of->out_row + head * of->width, found[0], of->width, parts);
    }
}

/* All heads of the windows from `first` to `last`; returns 0, or 1 for want of memory. Heads have at most 32 channels. */
int window_attention(const arguments *of, int64_t first, int64_t last) {
    const int64_t blocks = (of->keys + LANES - 1) / LANES, parts = (of->width + LANES - 1) / LANES;
    vec *keys = aligned_alloc(sizeof(vec), sizeof(vec) * (of->width * blocks + of->keys * parts + blocks));
    if (!keys) return 1;
    vec *values = keys + of->width * blocks, *weights = values + of->keys * parts;
    for (int64_t window = first; window < last; window++)
        for (int64_t head = 0; head < of->heads; head++) switch (parts) {
                case 1: attend(1, of, blocks, window, head, keys, values, weights); break;
                case 2: attend(2, of, blocks, window, head, keys, values, weights); break;
                case 3: attend(3, of, blocks, window, head, keys, values, weights); break;
                default: attend(4, of, blocks, window, head, keys, values, weights);
            }
    free(keys);
    return 0;
}
