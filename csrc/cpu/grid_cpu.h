// What the driver (grid_cpu.cpp) and the per-instruction-set kernels (grid_cpu.inc) share.
#pragma once
#include "n2m_abi.h"

namespace n2m {

// One chunk of points on one level. Coordinates and tangents come as one array per axis, padded with valid numbers up to
// a multiple of MAX_LANES; features and their gradients come as one array [n, n_features] for the level.
constexpr int MAX_LANES = 16;
struct GridChunk {
  n2m_level level;
  bool smoothstep;
  int64_t n;
  int64_t stride;  // floats between the features of two points
  const float* x[3];
  const float* tangent[3];
  const void* params;           // of this level
  float* grad_params;           // of this level
  uint32_t first, last;         // entries of the level that this task owns (backward)
  const float *grad_out, *grad_tangent;
  float *out, *out_tangent;
  float* grad_x[3];             // += , one array per axis
};

using GridKernel = void (*)(const GridChunk&);
// Indexed by [n_dims - 2][log2(n_features)][half].
struct GridKernels {
  GridKernel forward[2][4][2], jvp[2][4][2], input_grad[2][4][2], backward[2][4];
};

extern const GridKernels grid_scalar;
#if N2M_X86
extern const GridKernels grid_avx2, grid_avx512;
#endif

}  // namespace n2m
