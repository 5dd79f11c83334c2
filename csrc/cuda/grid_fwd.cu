// Hash grid on the device: forward, forward with tangent, gradient to the points. blockIdx.y is a group of levels, so that
// the blocks in flight share few tables in the second-level cache. A group's features fill 32 bytes of a row, the smallest
// piece that memory takes: with less, a row crosses over to memory several times when the output outgrows the cache.
#include "cuda/grid.cuh"

namespace n2m {
namespace {

struct ForwardArgs {
  LevelTable levels;
  int64_t n;
  int32_t n_levels, n_active;
  bool smoothstep;
  const float *points, *tangent;
  const void* params;
  float *out, *out_tangent;
};

// One point on one level; `along` only with TANGENT.
template <int D, int NF, class P, bool TANGENT>
__device__ __forceinline__ void encode(const ForwardArgs& a, int64_t i, int level_index, float* value, float* along) {
  const n2m_level& level = a.levels.at[level_index];
  const Place<D> at = place_point<D>(level, a.smoothstep, a.points + i * D);
  const P* table = static_cast<const P*>(a.params) + static_cast<size_t>(level.offset) * NF;
  float lower[NF] = {}, upper[NF] = {}, moved_lower[NF] = {}, moved_upper[NF] = {}, slope[D], tangent[D];
  if (TANGENT) {
    slopes<D>(level, a.smoothstep, at, slope);
    for (int d = 0; d < D; ++d) tangent[d] = a.tangent[i * D + d];
  }
#pragma unroll
  for (int c = 0; c < Pairs<D>::N; ++c) {
    float low[NF], up[NF];
    load_pair<NF>(table, at.lower[c], at.upper[c], low, up);
    const float w = pair_weight<D>(at.s, c), moved = TANGENT ? pair_tangent<D>(at.s, slope, tangent, c) : 0.0f;
#pragma unroll
    for (int f = 0; f < NF; ++f) {
      lower[f] += w * low[f], upper[f] += w * up[f];
      if (TANGENT) moved_lower[f] += moved * low[f], moved_upper[f] += moved * up[f];
    }
  }
#pragma unroll
  for (int f = 0; f < NF; ++f) {
    value[f] = lower[f] + at.s[0] * (upper[f] - lower[f]);
    if (TANGENT)
      along[f] = moved_lower[f] + at.s[0] * (moved_upper[f] - moved_lower[f]) + slope[0] * tangent[0] * (upper[f] - lower[f]);
  }
}

// GROUP levels a thread; n_levels is a multiple of it.
template <int D, int NF, class P, bool TANGENT, int GROUP>
__global__ void __launch_bounds__(THREADS) forward(const __grid_constant__ ForwardArgs a) {
  const int64_t i = global_index();
  if (i >= a.n) return;
  const int first = blockIdx.y * GROUP;
  float value[GROUP * NF] = {}, along[GROUP * NF] = {};
#pragma unroll
  for (int k = 0; k < GROUP; ++k)
    if (first + k < a.n_active) encode<D, NF, P, TANGENT>(a, i, first + k, value + k * NF, along + k * NF);
  const int64_t row = (i * a.n_levels + first) * NF;
  store_row<GROUP * NF>(a.out + row, value);
  if (TANGENT) store_row<GROUP * NF>(a.out_tangent + row, along);
}

struct InputGradArgs {
  LevelTable levels;
  int64_t n;
  int32_t n_levels, n_active;
  bool smoothstep;
  const float *points, *grad_out, *tangent, *grad_tangent;
  const void* params;
  float* grad_points;
};

template <int NF>
__device__ __forceinline__ float dot_diff(const float* g, const float (&low)[NF], const float (&up)[NF]) {
  float total = 0.0f;
  for (int f = 0; f < NF; ++f) total += g[f] * (up[f] - low[f]);
  return total;
}
template <int NF>
__device__ __forceinline__ float dot_lerp(const float* g, float x, const float (&low)[NF], const float (&up)[NF]) {
  float total = 0.0f;
  for (int f = 0; f < NF; ++f) total += g[f] * (low[f] + x * (up[f] - low[f]));
  return total;
}

template <int D, int NF, bool ALL>
__device__ __forceinline__ Seen<D, float> see(const float* g, float x, const float (&low)[D + 1][NF], const float (&up)[D + 1][NF]) {
  Seen<D, float> seen{};
  seen.diff = dot_diff<NF>(g, low[0], up[0]);
  for (int a = 1; a < D; ++a) seen.lerp_along[a] = dot_lerp<NF>(g, x, low[a], up[a]);
  if (ALL) {
    for (int a = 1; a < D; ++a) seen.diff_along[a] = dot_diff<NF>(g, low[a], up[a]);
    if (D == 3) seen.lerp_cross = dot_lerp<NF>(g, x, low[D], up[D]);
  }
  return seen;
}

// A thread walks the levels of one point: the sum needs no atomics and its order is fixed.
template <int D, int NF, class P, bool HESSIAN>
__global__ void __launch_bounds__(THREADS) input_grad(const __grid_constant__ InputGradArgs a) {
  const int64_t i = global_index();
  if (i >= a.n) return;
  float total[D] = {};
  for (int l = 0; l < a.n_active; ++l) {
    const n2m_level& level = a.levels.at[l];
    const Place<D> at = place_point<D>(level, a.smoothstep, a.points + i * D);
    const P* table = static_cast<const P*>(a.params) + static_cast<size_t>(level.offset) * NF;
    float slope[D], part[D], low_sum[D + 1][NF] = {}, up_sum[D + 1][NF] = {};
    slopes<D>(level, a.smoothstep, at, slope);
#pragma unroll
    for (int c = 0; c < Pairs<D>::N; ++c) {
      float low[NF], up[NF], w[D + 1];
      load_pair<NF>(table, at.lower[c], at.upper[c], low, up);
      w[0] = pair_weight<D>(at.s, c);
      for (int d = 1; d < D; ++d) w[d] = pair_slope<D>(at.s, c, d);
      w[D] = D == 3 && HESSIAN ? pair_cross(c) : 0.0f;
#pragma unroll
      for (int q = 0; q < (HESSIAN ? D + 1 : D); ++q)
        for (int f = 0; f < NF; ++f) low_sum[q][f] += w[q] * low[f], up_sum[q][f] += w[q] * up[f];
    }
    const int64_t row = (i * a.n_levels + l) * NF;
    if (a.grad_out) {
      gradient<D>(see<D, NF, false>(a.grad_out + row, at.s[0], low_sum, up_sum), slope, part);
      for (int d = 0; d < D; ++d) total[d] += part[d];
    }
    if (HESSIAN) {
      float curvature[D], tangent[D];
      for (int d = 0; d < D; ++d) {
        curvature[d] = blend_curvature(a.smoothstep, at.frac[d], level.scale);
        tangent[d] = a.tangent[i * D + d];
      }
      hessian_times<D>(see<D, NF, true>(a.grad_tangent + row, at.s[0], low_sum, up_sum), slope, curvature, tangent, part);
      for (int d = 0; d < D; ++d) total[d] += part[d];
    }
  }
  for (int d = 0; d < D; ++d) a.grad_points[i * D + d] = total[d];
}

template <int D, int NF>
void launch_forward(const ForwardArgs& a, bool half, cudaStream_t stream) {
  constexpr int GROUP = 8 / NF;
  const dim3 grid(blocks_for(a.n), a.n_levels), grouped(blocks_for(a.n), a.n_levels / GROUP);
  if (a.tangent) {
    half ? forward<D, NF, __half, true, 1><<<grid, THREADS, 0, stream>>>(a)
         : forward<D, NF, float, true, 1><<<grid, THREADS, 0, stream>>>(a);
  } else if (a.n_levels % GROUP == 0) {
    half ? forward<D, NF, __half, false, GROUP><<<grouped, THREADS, 0, stream>>>(a)
         : forward<D, NF, float, false, GROUP><<<grouped, THREADS, 0, stream>>>(a);
  } else {
    half ? forward<D, NF, __half, false, 1><<<grid, THREADS, 0, stream>>>(a)
         : forward<D, NF, float, false, 1><<<grid, THREADS, 0, stream>>>(a);
  }
}

template <int D, int NF>
void launch_input_grad(const InputGradArgs& a, bool half, cudaStream_t stream) {
  const unsigned grid = blocks_for(a.n);
  if (a.grad_tangent) {
    half ? input_grad<D, NF, __half, true><<<grid, THREADS, 0, stream>>>(a) : input_grad<D, NF, float, true><<<grid, THREADS, 0, stream>>>(a);
  } else {
    half ? input_grad<D, NF, __half, false><<<grid, THREADS, 0, stream>>>(a) : input_grad<D, NF, float, false><<<grid, THREADS, 0, stream>>>(a);
  }
}

int32_t run_forward(const n2m_grid* grid, int64_t n, const float* points, const void* params, const float* tangent, float* out,
                    float* out_tangent, void* stream) {
  if (!check_grid(grid, n)) return refused(grid);
  const bool any = n > 0, both = any && (tangent || out_tangent);
  if (!check_pointers({{"points", points, any}, {"params", params, any}, {"out", out, any}, {"tangent", tangent, both},
                       {"out_tangent", out_tangent, both}}))
    return N2M_INVALID;
  if (n == 0) return N2M_OK;
  const n2m_grid& g = *grid;
  const ForwardArgs a{copy_levels(g), n, g.n_levels, g.n_active, g.smoothstep != 0, points, tangent, params, out, out_tangent};
#define CALL(D, NF) launch_forward<D, NF>(a, g.half != 0, static_cast<cudaStream_t>(stream))
  N2M_DISPATCH_GRID(g, CALL)
#undef CALL
  return launch_status();
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

N2M_API int32_t n2m_abi_version(void) { return N2M_ABI_VERSION; }
N2M_API const char* n2m_last_error(void) { return error_text(); }

N2M_API int32_t n2m_grid_forward_cuda(const n2m_grid* g, int64_t n, const float* points, const void* params, float* out, void* stream) {
  return run_forward(g, n, points, params, nullptr, out, nullptr, stream);
}

N2M_API int32_t n2m_grid_jvp_cuda(const n2m_grid* g, int64_t n, const float* points, const void* params, const float* tangent,
                                  float* out, float* out_tangent, void* stream) {
  return run_forward(g, n, points, params, tangent, out, out_tangent, stream);
}

N2M_API int32_t n2m_grid_input_grad_cuda(const n2m_grid* g, int64_t n, const float* points, const void* params,
                                         const float* grad_out, const float* tangent, const float* grad_tangent,
                                         float* grad_points, void* stream) {
  if (!check_grid(g, n)) return refused(g);
  if (!check_gradients(n, grad_out, tangent, grad_tangent)) return N2M_INVALID;
  if (!check_pointers({{"points", points, n > 0}, {"params", params, n > 0}, {"grad_points", grad_points, n > 0}})) return N2M_INVALID;
  if (n == 0) return N2M_OK;
  const InputGradArgs a{copy_levels(*g), n, g->n_levels, g->n_active, g->smoothstep != 0, points,
                        grad_out, tangent, grad_tangent, params, grad_points};
#define CALL(D, NF) launch_input_grad<D, NF>(a, g->half != 0, static_cast<cudaStream_t>(stream))
  N2M_DISPATCH_GRID(*g, CALL)
#undef CALL
  return launch_status();
}

}  // extern "C"
