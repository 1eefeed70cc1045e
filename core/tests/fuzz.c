/* Scores made-up pictures with every instruction set: `fuzz FIRST NUMBER`, where FIRST begins the
 * draws and NUMBER is that of scored pictures. Sizes, depths, strides, addresses and contents are
 * drawn, and samples may be above their range. The pictures lie in memory of their exact size, so
 * that a sanitizer sees each read and write beyond them. Ends with 1 where two instruction sets
 * differ.
 */
#include "k150k_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

static uint16_t sample(int kind, int x, int y, int depth) {
    const uint32_t most = depth == 8 ? 256 : draw(50) ? 1024 : 65536;
    switch (kind) {
    case 0: return (uint16_t)draw(most);
    case 1: return (uint16_t)((uint32_t)(x + y) / 9 % most);
    case 2: return (uint16_t)(draw(30) ? 60 : draw(most));
    case 3: return (uint16_t)(draw(2) ? most - 1 : 0);
    case 4: return (uint16_t)(100 + draw(3));
    default: return (uint16_t)((uint32_t)(x / 40 + y / 30) % 5 + 64);
    }
}

typedef struct {
    int width, height, depth;
    ptrdiff_t stride; /* in bytes */
    char *memory;
    void *first; /* the first row, which is the last one in memory where the stride is negative */
} picture;

static int bytes_of(int depth) { return depth == 8 ? 1 : 2; }

/* Sizes up to that of a small clip, now and then up to the largest that is scored. */
static picture draw_size(void) {
    const int large = !draw(300), wide = 1 + (int)draw(large ? 16384 : draw(20) ? 420 : 2100);
    const int high = 1 + (int)draw(large ? 120 : 300), upright = !draw(4);
    const int width = upright ? high : wide, depth = draw(2) ? 8 : 10;
    const int stride = width * bytes_of(depth) + (int)draw(140);
    return (picture){
        .width = width,
        .height = upright ? wide : high,
        .depth = depth,
        .stride = draw(2) ? stride : -stride,
    };
}

static void fill(picture *p) {
    const ptrdiff_t apart = p->stride < 0 ? -p->stride : p->stride, bytes = bytes_of(p->depth);
    const ptrdiff_t last = apart * (p->height - 1), odd = (ptrdiff_t)draw(2);
    p->memory = malloc((size_t)(odd + last + p->width * bytes));
    if (!p->memory) exit(3);
    p->first = p->memory + odd + (p->stride < 0 ? last : 0);
    const int kind = (int)draw(6);
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            const uint16_t value = sample(kind, x, y, p->depth);
            char *at = (char *)p->first + y * p->stride + x * bytes;
            if (bytes == 1) *(uint8_t *)at = (uint8_t)value;
            else memcpy(at, &value, 2);
        }
}

/* Return whether all instruction sets agree; -1 for a size that none of them scores. */
static int agree(const picture *a, const picture *b) {
    double expected[3];
    int equal = -1;
    for (int set = 0; k150k_instruction_set(set); set++) {
        k150k_scorer *scorer = k150k_scorer_new(a->width, a->height, a->depth, set);
        if (!scorer) continue;
        const double found[3] = {
            k150k_cambi(scorer, a->first, a->stride),
            k150k_cambi(scorer, b->first, b->stride),
            k150k_motion(scorer, a->first, a->stride, b->first, b->stride),
        };
        k150k_scorer_free(scorer);
        if (set == 0) memcpy(expected, found, sizeof found);
        equal = equal && !memcmp(expected, found, sizeof found);
    }
    return equal;
}

/* Return whether all instruction sets agree on a pair; 1 for a size that none of them scores. */
static int agree_on_pair(const picture *a, const picture *b) {
    double expected[2][5], found[2][5];
    int equal = 1;
    for (int set = 0; a->depth == 8 && k150k_instruction_set(set); set++) {
        k150k_pairs *pairs = k150k_pairs_new(a->width, a->height, set);
        if (!pairs) continue;
        k150k_pairs_reference(pairs, a->first, a->stride);
        k150k_pairs_distorted(pairs, b->first, b->stride, found[0]);
        k150k_pairs_distorted(pairs, a->first, a->stride, found[1]);
        k150k_pairs_free(pairs);
        if (set == 0) memcpy(expected, found, sizeof found);
        equal = equal && !memcmp(expected, found, sizeof found);
    }
    return equal;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const int first = atoi(arguments[1]), number = atoi(arguments[2]);
    int scored = 0;
    for (int i = first; scored < number; i++) {
        state = (uint64_t)i;
        for (int warm = 0; warm < 3; warm++) draw(2);
        picture a = draw_size(), b = a;
        fill(&a);
        fill(&b);
        const int alone = agree(&a, &b), equal = agree_on_pair(&a, &b) ? alone : 0;
        free(a.memory);
        free(b.memory);
        scored += equal == 1 ? 2 : 0;
        if (equal) continue;
        printf("pictures %d: %dx%d, %d bits, stride %td: instruction sets differ\n", i, a.width,
               a.height, a.depth, a.stride);
        return 1;
    }
    printf("%d pictures\n", scored);
    return 0;
}
