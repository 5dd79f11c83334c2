// Hash grid on the device: gradient to the parameters, summed in float32.
//
// Sums go to memory by reductions, a pair of neighbors or a whole entry at a time.
// Samples come in the order of their rays, so that on dense levels runs of lanes lie in one cell: a warp adds such runs up
// first and sends one reduction for each.

#include "cuda/grid.cuh"

namespace n2m {
namespace {

struct BackwardArgs {
  LevelTable levels;
  int64_t n;
  int32_t n_levels, first_level, last_level;  // last_level: the one after
  bool smoothstep;
  const float *points, *grad_out, *tangent, *grad_tangent;
  float* grad_params;
};

// Runs of neighboring lanes whose points lie in one cell. Every lane of the warp takes part.
struct Runs {
  bool worth_it, head;
  int next, longest;  // the lane after this lane's run; lanes of the longest run

  template <int D>
  __device__ static Runs find(const uint32_t (&cell)[D]) {
    const int lane = threadIdx.x % WARP;
    bool same = lane > 0;
#pragma unroll
    for (int d = 0; d < D; ++d) same &= __shfl_up_sync(ALL_LANES, cell[d], 1) == cell[d];
    const unsigned heads = __ballot_sync(ALL_LANES, !same), later = lane == 31 ? 0u : heads >> (lane + 1);
    Runs runs;
    runs.head = !same, runs.next = later ? lane + __ffs(static_cast<int>(later)) : static_cast<int>(WARP);
    runs.worth_it = __popc(heads) <= static_cast<int>(WARP) / 4;
    runs.longest = __reduce_max_sync(ALL_LANES, runs.next - lane);
    return runs;
  }
  // The head's value becomes the sum over its run.
  __device__ void add_up(float& value) const {
    const int lane = threadIdx.x % WARP;
    for (int step = 1; step < longest; step *= 2) {
      const float other = __shfl_down_sync(ALL_LANES, value, step);
      if (lane + step < next) value += other;
    }
  }
};

// Calls sink(lower, upper, to_lower, to_upper) for the pairs of corners of one point with what each end receives. With RUNS
// the whole warp calls, lanes without a point with `there` false, and only the heads of runs (or all points) reach the sink.
template <int D, int NF, bool TANGENT, bool RUNS, class Sink>
__device__ __forceinline__ void corner_gradients(const BackwardArgs& a, int64_t i, bool there, int level_index, Sink&& sink) {
  const n2m_level& level = a.levels.at[level_index];
  const Place<D> at = place_point<D>(level, a.smoothstep, a.points + i * D);
  const int64_t row = (i * a.n_levels + level_index) * NF;
  const float x = at.s[0];
  float lower[NF] = {}, upper[NF] = {}, moved_lower[NF] = {}, moved_upper[NF] = {}, slope[D], tangent[D];
  if (a.grad_out && there) {
    float g[NF];
    load_aligned<NF>(a.grad_out + row, g);
#pragma unroll
    for (int f = 0; f < NF; ++f) lower[f] = (1.0f - x) * g[f], upper[f] = x * g[f];
  }
  if (TANGENT) {
    float g[NF] = {};
    if (there) load_aligned<NF>(a.grad_tangent + row, g);
    slopes<D>(level, a.smoothstep, at, slope);
    for (int d = 0; d < D; ++d) tangent[d] = a.tangent[i * D + d];
    const float step = slope[0] * tangent[0];
#pragma unroll
    for (int f = 0; f < NF; ++f) {
      lower[f] -= step * g[f], upper[f] += step * g[f];
      moved_lower[f] = (1.0f - x) * g[f], moved_upper[f] = x * g[f];
    }
  }
  Runs runs{};
  if (RUNS) runs = Runs::find<D>(at.cell);
  // Unused places of a fixed capacity all stand on one point: their zeros would queue up at one address.
  bool gives = false;
#pragma unroll
  for (int f = 0; f < NF; ++f) gives |= lower[f] != 0.0f || upper[f] != 0.0f || (TANGENT && (moved_lower[f] != 0.0f || moved_upper[f] != 0.0f));
  const bool merge = RUNS && runs.worth_it, sends = merge ? runs.head : gives;
#pragma unroll
  for (int c = 0; c < Pairs<D>::N; ++c) {
    const float w = pair_weight<D>(at.s, c), moved = TANGENT ? pair_tangent<D>(at.s, slope, tangent, c) : 0.0f;
    float to_lower[NF], to_upper[NF];
#pragma unroll
    for (int f = 0; f < NF; ++f) {
      to_lower[f] = w * lower[f] + moved * moved_lower[f];
      to_upper[f] = w * upper[f] + moved * moved_upper[f];
    }
    if (merge) {
#pragma unroll
      for (int f = 0; f < NF; ++f) runs.add_up(to_lower[f]), runs.add_up(to_upper[f]);
    }
    if (sends) sink(at.lower[c], at.upper[c], to_lower, to_upper);
  }
}

// Two neighbors of up to two features are one 16-byte (or 8-byte) reduction where the hardware has it.
template <int NF>
__device__ __forceinline__ void reduce_pair(float* table, uint32_t lower, uint32_t upper, const float (&low)[NF], const float (&up)[NF]) {
#if __CUDA_ARCH__ >= 900
  if constexpr (NF <= 2) {
    if ((lower ^ upper) == 1u) {
      const bool swapped = lower & 1u;
      float both[2 * NF];
#pragma unroll
      for (int f = 0; f < NF; ++f) both[f] = swapped ? up[f] : low[f], both[NF + f] = swapped ? low[f] : up[f];
      reduce_row<2 * NF>(table + static_cast<size_t>(lower & ~1u) * NF, both);
      return;
    }
  }
#endif
  reduce_row<NF>(table + static_cast<size_t>(lower) * NF, low);
  reduce_row<NF>(table + static_cast<size_t>(upper) * NF, up);
}

// RUNS for dense levels. The last warp's lanes beyond n stand on the last point with nothing to give. A thread's levels share
// 32 bytes of a row of gradients, so that a row is read from memory once.
template <int D, int NF, bool TANGENT, bool RUNS>
__global__ void __launch_bounds__(THREADS) scatter(const __grid_constant__ BackwardArgs a) {
  const int64_t i = global_index();
  if (!RUNS && i >= a.n) return;
  constexpr int GROUP = 8 / NF;
  const int begin = (a.first_level / GROUP + blockIdx.y) * GROUP;
#pragma unroll 1
  for (int level_index = begin; level_index < begin + GROUP; ++level_index) {
    if (level_index < a.first_level || level_index >= a.last_level) continue;
    float* table = a.grad_params + static_cast<size_t>(a.levels.at[level_index].offset) * NF;
    const auto sink = [&](uint32_t lower, uint32_t upper, const float(&low)[NF], const float(&up)[NF]) {
      reduce_pair<NF>(table, lower, upper, low, up);
    };
    corner_gradients<D, NF, TANGENT, RUNS>(a, i < a.n ? i : a.n - 1, i < a.n, level_index, sink);
  }
}

template <int D, int NF, bool TANGENT, bool RUNS>
void launch_scatter(BackwardArgs a, int first_level, int last_level, cudaStream_t stream) {
  if (first_level >= last_level) return;
  constexpr int GROUP = 8 / NF;
  a.first_level = first_level, a.last_level = last_level;
  const dim3 grid(blocks_for(a.n), (last_level - 1) / GROUP - first_level / GROUP + 1);
  scatter<D, NF, TANGENT, RUNS><<<grid, THREADS, 0, stream>>>(a);
}

template <int D, int NF, bool TANGENT>
void launch(BackwardArgs a, int n_active, cudaStream_t stream) {
  int first_hashed = 0;
  while (first_hashed < n_active && !a.levels.at[first_hashed].hashed) ++first_hashed;
  launch_scatter<D, NF, TANGENT, true>(a, 0, first_hashed, stream);
  launch_scatter<D, NF, TANGENT, false>(a, first_hashed, n_active, stream);
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" N2M_API int32_t n2m_grid_backward_cuda(const n2m_grid* g, int64_t n, const float* points, const float* grad_out,
                                                  const float* tangent, const float* grad_tangent, float* grad_params,
                                                  void* stream) {
  if (!check_grid(g, n)) return refused(g);
  if (!check_gradients(n, grad_out, tangent, grad_tangent)) return N2M_INVALID;
  if (!check_pointers({{"points", points, n > 0}, {"grad_params", grad_params, n > 0}})) return N2M_INVALID;
  if (n == 0 || g->n_active == 0) return N2M_OK;
  const BackwardArgs a{copy_levels(*g), n, g->n_levels, 0, 0, g->smoothstep != 0, points, grad_out, tangent, grad_tangent, grad_params};
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
#define CALL(D, NF) grad_tangent ? launch<D, NF, true>(a, g->n_active, on) : launch<D, NF, false>(a, g->n_active, on)
  N2M_DISPATCH_GRID(*g, CALL)
#undef CALL
  return launch_status();
}
