// One point on one level, on the device: cell, weights, and access to pairs of entries with the widest aligned loads.
#pragma once
#include <cuda_fp16.h>

#include "core/grid.h"
#include "cuda/launch.cuh"

namespace n2m {

template <int D>
struct Place {
  static constexpr int C = Pairs<D>::N;
  uint32_t lower[C], upper[C], cell[D];
  float s[D], frac[D];
};

template <int D>
__device__ __forceinline__ Place<D> place_point(const n2m_level& level, bool smoothstep, const float* point) {
  float x[D];
  Place<D> at;
  for (int d = 0; d < D; ++d) x[d] = point[d];
  locate<D>(level, x, at.cell, at.frac);
  if (level.hashed) {
#pragma unroll
    for (int c = 0; c < Pairs<D>::N; ++c) {
      at.lower[c] = hashed_index<D>(level, at.cell, c, 0);
      at.upper[c] = hashed_index<D>(level, at.cell, c, 1);
    }
  } else {
    bool outside = false;  // one branch for a case that only points outside of [0, 1] bring
#pragma unroll
    for (int c = 0; c < Pairs<D>::N; ++c) {
      at.lower[c] = dense_index<D>(level, at.cell, c), at.upper[c] = at.lower[c] + 1;
      outside |= at.lower[c] >= level.size - 1u;
    }
    if (outside) {
#pragma unroll
      for (int c = 0; c < Pairs<D>::N; ++c) at.lower[c] %= level.size, at.upper[c] %= level.size;
    }
  }
  for (int d = 0; d < D; ++d) at.s[d] = blend(smoothstep, at.frac[d]);
  return at;
}

template <int D>
__device__ __forceinline__ void slopes(const n2m_level& level, bool smoothstep, const Place<D>& at, float (&slope)[D]) {
  for (int d = 0; d < D; ++d) slope[d] = blend_slope(smoothstep, at.frac[d], level.scale);
}

// N values from memory that is aligned to all of them.
template <int N>
__device__ __forceinline__ void load_aligned(const float* p, float* out) {
  if constexpr (N == 1) {
    out[0] = __ldg(p);
  } else if constexpr (N == 2) {
    const float2 v = __ldg(reinterpret_cast<const float2*>(p));
    out[0] = v.x, out[1] = v.y;
  } else {
    for (int i = 0; i < N; i += 4) {
      const float4 v = __ldg(reinterpret_cast<const float4*>(p + i));
      out[i] = v.x, out[i + 1] = v.y, out[i + 2] = v.z, out[i + 3] = v.w;
    }
  }
}

__device__ __forceinline__ void unpack(uint32_t bits, float* out) {
  const float2 v = __half22float2(*reinterpret_cast<const __half2*>(&bits));
  out[0] = v.x, out[1] = v.y;
}

template <int N>
__device__ __forceinline__ void load_aligned(const __half* p, float* out) {
  if constexpr (N == 1) {
    out[0] = __half2float(__ldg(p));
  } else if constexpr (N == 2) {
    unpack(__ldg(reinterpret_cast<const unsigned int*>(p)), out);
  } else if constexpr (N == 4) {
    const uint2 v = __ldg(reinterpret_cast<const uint2*>(p));
    unpack(v.x, out), unpack(v.y, out + 2);
  } else {
    for (int i = 0; i < N; i += 8) {
      const uint4 v = __ldg(reinterpret_cast<const uint4*>(p + i));
      unpack(v.x, out + i), unpack(v.y, out + i + 2), unpack(v.z, out + i + 4), unpack(v.w, out + i + 6);
    }
  }
}

// The pair's two entries. Neighbors whose first index is even are one aligned load; on hashed levels that is every other
// cell, because the hash multiplies x by one: the two ends then differ in the lowest bit only. The second load is predicated
// and nothing branches, so that the loads of all pairs are in flight together. Levels begin and end at even entries.
template <int NF, class P>
__device__ __forceinline__ void load_pair(const P* table, uint32_t lower, uint32_t upper, float (&low)[NF], float (&up)[NF]) {
  if constexpr (NF * sizeof(P) <= 8) {
    const bool odd = lower & 1u;
    float both[2 * NF];
    load_aligned<2 * NF>(table + static_cast<size_t>(lower & ~1u) * NF, both);
#pragma unroll
    for (int f = 0; f < NF; ++f) low[f] = odd ? both[NF + f] : both[f], up[f] = odd ? both[f] : both[NF + f];
    if ((lower ^ upper) != 1u) load_aligned<NF>(table + static_cast<size_t>(upper) * NF, up);
  } else {
    load_aligned<NF>(table + static_cast<size_t>(lower) * NF, low);
    load_aligned<NF>(table + static_cast<size_t>(upper) * NF, up);
  }
}

template <int N>
__device__ __forceinline__ void store_row(float* p, const float (&row)[N]) {
  if constexpr (N == 1) {
    p[0] = row[0];
  } else if constexpr (N == 2) {
    *reinterpret_cast<float2*>(p) = make_float2(row[0], row[1]);
  } else {
    for (int i = 0; i < N; i += 4) *reinterpret_cast<float4*>(p + i) = make_float4(row[i], row[i + 1], row[i + 2], row[i + 3]);
  }
}

// p[0..N) += row: one vector reduction per 8 or 16 bytes from sm_90 on, scalar reductions before.
template <int N>
__device__ __forceinline__ void reduce_row(float* p, const float* row) {
#if __CUDA_ARCH__ >= 900
  if constexpr (N == 2) {
    atomicAdd(reinterpret_cast<float2*>(p), make_float2(row[0], row[1]));
    return;
  } else if constexpr (N >= 4) {
    for (int i = 0; i < N; i += 4)
      atomicAdd(reinterpret_cast<float4*>(p + i), make_float4(row[i], row[i + 1], row[i + 2], row[i + 3]));
    return;
  }
#endif
  for (int i = 0; i < N; ++i) atomicAdd(p + i, row[i]);
}

// Calls launcher<D, NF>() for the grid's sizes.
#define N2M_DISPATCH_GRID(g, CALL)                     \
  switch ((g).n_dims * 16 + (g).n_features) {          \
    case 33: CALL(2, 1); break;                        \
    case 34: CALL(2, 2); break;                        \
    case 36: CALL(2, 4); break;                        \
    case 40: CALL(2, 8); break;                        \
    case 49: CALL(3, 1); break;                        \
    case 50: CALL(3, 2); break;                        \
    case 52: CALL(3, 4); break;                        \
    case 56: CALL(3, 8); break;                        \
    default: return N2M_UNSUPPORTED;                   \
  }

}  // namespace n2m
