// Host and device: the qualifiers and the few scalar functions that core/ needs. No STL, so that NVRTC can read it.
#pragma once
#include <stdint.h>

#ifdef __CUDACC__
#define N2M_HD __host__ __device__ __forceinline__
#else
#define N2M_HD inline __attribute__((always_inline))
#endif

namespace n2m {

N2M_HD float fma1(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

// Values out of the int range and NaN give INT_MIN, as x86 does.
N2M_HD int32_t truncate1(float x) {
  return x > -2147483648.0f && x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MIN;
}

N2M_HD float min1(float a, float b) { return a < b ? a : b; }
N2M_HD float max1(float a, float b) { return a > b ? a : b; }

}  // namespace n2m
