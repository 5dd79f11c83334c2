// Convolutions 3 wide by Winograd's minimal filtering F(2, 3) along every axis (Lavin & Gray 2016, arXiv 1509.09308).
#pragma once
#include <stdint.h>

namespace n2m {

// A tile is 2^d outputs, read from 4^d = `points` inputs; its transforms are rows of `points` planes [tiles, channels],
// `pitch` floats apart: not a multiple of 4 KiB, or all planes would fall on the same lines of the cache.
struct WinogradShape {
  int n_dims, size;  // images [n, size^n_dims, channels], size even
  int n_in, n_out;   // channels, multiples of 16
  int points() const { return n_dims == 3 ? 64 : 16; }
  int64_t tiles(int64_t n) const { return n * (size / 2) * (size / 2) * (n_dims == 3 ? size / 2 : 1); }
};

constexpr int WINOGRAD_BLOCK = 24;  // tiles that are transformed and multiplied while they are in the cache
inline int64_t winograd_pitch(int channels) { return WINOGRAD_BLOCK * (int64_t)channels + 16; }

struct WinogradKernels {
  void (*read)(const WinogradShape&, const float* images, int64_t first, int count, float* planes);
  void (*write)(const WinogradShape&, const float* planes, int64_t first, int count, const float* bias, float* images);
  void (*write_adjoint)(const WinogradShape&, const float* images, int64_t first, int count, float* planes);
  // c [rows, n] = a [rows, k] b, with b as [n / 16, k, 16]
  void (*multiply)(const float* a, const float* b, float* c, int rows, int n, int k);
  // c [m, n] += a^T b, with a [rows, m] and b [rows, n]
  void (*accumulate)(const float* a, const float* b, float* c, int rows, int m, int n);
};

extern const WinogradKernels winograd_scalar;
#if N2M_X86
extern const WinogradKernels winograd_avx2, winograd_avx512;
#endif

}  // namespace n2m
