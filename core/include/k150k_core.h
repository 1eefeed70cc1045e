/* Scores of frames, as libvmaf computes them with its default options: cambi and motion of single
 * frames, and vif and adm of pairs.
 *
 * A scorer belongs to one clip and one thread. It allocates when it is made and never again.
 * A picture is a luma plane: a pointer to its first sample, and the distance between two rows in
 * bytes, which may be negative. Samples are bytes at a depth of 8 bits, and 16-bit words in the
 * byte order of the machine above that, at any address. Samples above the range of their depth are
 * taken modulo that range, so that no picture can make the library read or write outside of its
 * buffers.
 */
#ifndef K150K_CORE_H
#define K150K_CORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a function, its meaning or a value that it returns changes. */
#define K150K_CORE_VERSION 2

typedef struct k150k_scorer k150k_scorer;
typedef struct k150k_pairs k150k_pairs;

/* Return K150K_CORE_VERSION of the library. */
int k150k_version(void);

/* Return the name of an instruction set, 0 being the plainest; NULL where the library has no more.
 * k150k_usable() returns whether this machine has it. */
const char *k150k_instruction_set(int number);
int k150k_usable(int number);

/* Return a scorer, or NULL if the size or depth cannot be scored or memory is short.
 *
 * width, height  pixels; the longer side has at least 216 and at most 16384, both add up to at
 *                most 16799, above which the pixels of a window are too many to count, and no side
 *                is so short that the window does not fit into cambi's coarsest scale
 * depth          8 or 10 bits
 * set            number of an instruction set that is usable, or -1 for the fastest one
 */
k150k_scorer *k150k_scorer_new(int width, int height, int depth, int set);
void k150k_scorer_free(k150k_scorer *scorer);

/* Return cambi of a picture: 0 for no banding, rising to about 24; at most 1000. */
double k150k_cambi(k150k_scorer *scorer, const void *luma, ptrdiff_t stride);

/* Return motion between a picture and the one before it: 0 for none; the mean absolute difference
 * of the smoothed pictures, in units of an 8-bit level. */
double k150k_motion(k150k_scorer *scorer, const void *previous, ptrdiff_t previous_stride,
                    const void *luma, ptrdiff_t stride);

/* Return a scorer of pairs, or NULL if the size cannot be scored or memory is short. A reference may
 * have any number of distorted pictures.
 *
 * width, height  pixels of 8 bits; at least 225 and at most 8192 on each side
 * set            as in k150k_scorer_new()
 */
k150k_pairs *k150k_pairs_new(int width, int height, int set);
void k150k_pairs_free(k150k_pairs *pairs);

/* Set the reference of the pictures that follow. */
void k150k_pairs_reference(k150k_pairs *pairs, const void *luma, ptrdiff_t stride);

/* Write five scores of a picture: vif at four scales, the finest one first, and adm. Each is 1 for a
 * picture like its reference, and may be a little above. adm is NaN where a value has more bits than
 * every instruction set of libvmaf keeps, as in noise of full range. */
void k150k_pairs_distorted(k150k_pairs *pairs, const void *luma, ptrdiff_t stride, double *scores);

#ifdef __cplusplus
}
#endif
#endif
