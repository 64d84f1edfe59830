/* Windows of the structural similarity in float64; see ssim_compiled.py for the arguments. */

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define MAPS 4
#define LONGEST 512 /* of a row, so that what is made of it stays in the cache */

typedef struct {
    int64_t z, y, x;    /* extent of the result */
    int64_t map, plane, row; /* numbers from one map, plane and row of the input to the next */
    int64_t step;       /* numbers from one tap to the next */
    const double *in, *weights;
    double *out;
    double raised; /* added to the maps of products */
} windows;

typedef struct {
    int64_t z, y, x;                           /* extent of the input */
    int64_t plane_a, row_a, plane_b, row_b;    /* bytes from one plane and row to the next */
    int64_t first, count;                      /* voxels of a row that `maps` keeps */
    const uint8_t *a, *b;
    const double *weights;
    double *maps, *rows; /* (4, z, y, count); (4, z, y, x - 2 radius), or null */
    double raised;
} beginning;

/* One row under a window that is its own mirror image. */
INLINE void smooth(const int radius, double *restrict to, const double *restrict from, int64_t step, int64_t n,
                   const double *weights) {
    double w[16];
    memcpy(w, weights, sizeof(double) * (radius + 1));
    for (int64_t i = 0; i < n; i++) {
        double sum = w[radius] * from[i + radius * step];
        for (int k = 0; k < radius; k++) sum += w[k] * (from[i + k * step] + from[i + (2 * radius - k) * step]);
        to[i] = sum;
    }
}

INLINE void smooth_all(const int radius, const windows *of) {
    for (int64_t m = 0; m < MAPS; m++)
        for (int64_t z = 0; z < of->z; z++)
            for (int64_t y = 0; y < of->y; y++)
                smooth(radius, of->out + ((m * of->z + z) * of->y + y) * of->x,
                       of->in + m * of->map + z * of->plane + y * of->row, of->step, of->x, of->weights);
}

/* Smoothed d, e, 2ab and a^2 + b^2, with their constants, to the similarity. */
INLINE void compare(const int radius, const windows *of, double c1) {
    double d[LONGEST], e[LONGEST], product[LONGEST], squares[LONGEST];
    double *const row[MAPS] = {d, e, product, squares};
    for (int64_t z = 0; z < of->z; z++)
        for (int64_t y = 0; y < of->y; y++)
            for (int64_t x = 0; x < of->x; x += LONGEST) {
                const int64_t n = of->x - x < LONGEST ? of->x - x : LONGEST;
                const double *from = of->in + z * of->plane + y * of->row + x;
                double *restrict to = of->out + (z * of->y + y) * of->x + x;
                for (int m = 0; m < MAPS; m++) smooth(radius, row[m], from + m * of->map, of->step, n, of->weights);
                for (int64_t i = 0; i < n; i++) {
                    const double dd = d[i] * d[i] + c1, ee = e[i] * e[i];
                    const double light = dd - ee, bright = dd + ee;
                    const double common = product[i] + of->raised - light, varied = squares[i] + of->raised - bright;
                    to[i] = common * light / (varied * bright);
                }
            }
}

INLINE void begin(const int radius, const beginning *of) {
    double d[LONGEST], e[LONGEST], product[LONGEST], squares[LONGEST];
    double *const row[MAPS] = {d, e, product, squares};
    const double half = 0.70710678118654752440;
    const int64_t inner = of->x - 2 * radius, lines = of->z * of->y;
    for (int64_t z = 0; z < of->z; z++)
        for (int64_t y = 0; y < of->y; y++) {
            const uint8_t *a = of->a + z * of->plane_a + y * of->row_a, *b = of->b + z * of->plane_b + y * of->row_b;
            for (int64_t i = 0; i < of->x; i++) {
                const double p = a[i], q = b[i];
                d[i] = (p + q) * half;
                e[i] = (p - q) * half;
                product[i] = 2 * p * q + of->raised;
                squares[i] = p * p + q * q + of->raised;
            }
            for (int m = 0; m < MAPS; m++) {
                const int64_t line = m * lines + z * of->y + y;
                memcpy(of->maps + line * of->count, row[m] + of->first, sizeof(double) * of->count);
                if (of->rows) smooth(radius, of->rows + line * inner, row[m], 1, inner, of->weights);
            }
        }
}

#define FOR_EACH_RADIUS(call) \
    switch (radius) { \
        case 0: call(0); return 0; \
        case 3: call(3); return 0; \
        case 5: call(5); return 0; \
    } \
    return 1

/* Each returns 0, or 1 for a radius or a row that it was not made for. */
int ssim_begin(const beginning *of, int64_t radius) {
    if (of->x > LONGEST) return 1;
#define CALL(r) begin(r, of)
    FOR_EACH_RADIUS(CALL);
#undef CALL
}

int ssim_smooth(const windows *of, int64_t radius) {
#define CALL(r) smooth_all(r, of)
    FOR_EACH_RADIUS(CALL);
#undef CALL
}

int ssim_compare(const windows *of, int64_t radius, double c1) {
#define CALL(r) compare(r, of, c1)
    FOR_EACH_RADIUS(CALL);
#undef CALL
}
