// Emission-absorption along one ray (Max 1995; Mildenhall et al. 2020, eq. 3) and its closed-form gradient.
//
//   alpha_i = 1 - exp(-sigma_i dt_i)   w_i = T_i alpha_i   T_{i+1} = T_i - w_i   T_0 = 1
//   C_k = sum w_i c_ik   O = sum w_i   D = sum w_i t_i
//   distortion = sum_ij w_i w_j |t_i - t_j| + 1/3 sum w_i^2 dt_i          (Barron et al. 2022, eq. 15)
//
// With g_i = dL/dw_i:  dL/dsigma_i = dt_i (T_{i+1} g_i - sum_{j>i} w_j g_j),  dL/dc_ik = w_i dL/dC_k.
#pragma once
#include "core/hd.h"

namespace n2m {

// Prefix sums of the distortion loss: W = sum w_j, M = sum w_j t_j over the samples in front.
N2M_HD float distortion_term(float w, float t, float dt, float W, float M) {
  return 2.0f * w * (t * W - M) + w * w * dt * (1.0f / 3.0f);
}

// d(distortion)/dw_i; W and M in front, and behind.
N2M_HD float distortion_slope(float w, float t, float dt, float W, float M, float W_behind, float M_behind) {
  return 2.0f * (t * (W - W_behind) - (M - M_behind)) + w * dt * (2.0f / 3.0f);
}

}  // namespace n2m
