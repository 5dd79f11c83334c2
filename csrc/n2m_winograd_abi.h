// C interface of the convolutions 3 wide with one pixel of zeros around, in 2D and 3D, on the CPU. The Python mirror is
// in nerf2mesh/kernels/winograd.py.
#pragma once
#include <stdint.h>

#include "n2m_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

// x [n, size^n_dims, n_in] and y [n, size^n_dims, n_out], channels last; size even, channels multiples of 16, else
// N2M_UNSUPPORTED. weight: transformed, [4^n_dims, n_out / 16, n_in, 16]. bias [n_out] or null.
N2M_API int32_t n2m_winograd_forward(int32_t n_dims, int64_t n, int32_t size, int32_t n_in, int32_t n_out, const float* x,
                                     const float* weight, const float* bias, float* y);
// grad_weight [4^n_dims, n_in, n_out]: of the transformed weight.
N2M_API int32_t n2m_winograd_weight_gradient(int32_t n_dims, int64_t n, int32_t size, int32_t n_in, int32_t n_out,
                                             const float* x, const float* grad_y, float* grad_weight);

#ifdef __cplusplus
}
#endif
