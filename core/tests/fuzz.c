/* Scores made-up pictures with every instruction set: `fuzz FIRST NUMBER`. Sizes, depths, strides
 * and contents are drawn, and samples may be above their range. The pictures lie in memory of their
 * exact size, so that a sanitizer sees each read and write beyond them. Ends with 1 where two
 * instruction sets differ.
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

/* Return the memory of a picture; its first row is the last one where the stride is negative. */
static char *picture(int width, int height, int depth, ptrdiff_t stride, void **first) {
    const size_t bytes = depth == 8 ? 1 : 2, apart = (size_t)(stride < 0 ? -stride : stride);
    char *memory = malloc(apart * (size_t)(height - 1) + (size_t)width * bytes);
    *first = stride < 0 ? memory + apart * (size_t)(height - 1) : memory;
    const int kind = (int)draw(6);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const uint16_t value = sample(kind, x, y, depth);
            char *at = (char *)*first + y * stride + (ptrdiff_t)((size_t)x * bytes);
            if (depth == 8) *(uint8_t *)at = (uint8_t)value;
            else memcpy(at, &value, 2);
        }
    return memory;
}

static int agree(int width, int height, int depth, ptrdiff_t stride) {
    void *first[2];
    char *memory[2];
    for (int i = 0; i < 2; i++) memory[i] = picture(width, height, depth, stride, first + i);
    double expected[3];
    int equal = 1;
    for (int set = 0; k150k_instruction_set(set); set++) {
        k150k_scorer *scorer = k150k_usable(set) ? k150k_scorer_new(width, height, depth, set) : NULL;
        if (!scorer) continue;
        const double found[3] = {
            k150k_cambi(scorer, first[0], stride),
            k150k_cambi(scorer, first[1], stride),
            k150k_motion(scorer, first[0], stride, first[1], stride),
        };
        k150k_scorer_free(scorer);
        if (set == 0) memcpy(expected, found, sizeof found);
        equal &= !memcmp(expected, found, sizeof found);
    }
    free(memory[0]);
    free(memory[1]);
    return equal;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const int first = atoi(arguments[1]), number = atoi(arguments[2]);
    for (int i = first; i < first + number; i++) {
        state = (uint64_t)i;
        for (int warm = 0; warm < 3; warm++) draw(2);
        const int width = 1 + (int)draw(draw(20) ? 420 : 2100), height = 1 + (int)draw(260);
        const int depth = draw(2) ? 8 : 10, bytes = depth == 8 ? 1 : 2;
        const ptrdiff_t stride = (ptrdiff_t)(width + (int)draw(70)) * bytes * (draw(2) ? 1 : -1);
        if (!agree(width, height, depth, stride)) {
            printf("picture %d: %dx%d, %d bits, stride %td: instruction sets differ\n", i, width,
                   height, depth, stride);
            return 1;
        }
    }
    return 0;
}
