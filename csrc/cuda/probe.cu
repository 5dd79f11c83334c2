// What the device can do at best, measured beside the kernels: random entries of the grid's tables, read or added to.
// For benchmarks only; as csrc/cpu/probe_cpu.cpp, level after level.
#include "cuda/grid.cuh"

namespace n2m {
namespace {

struct ProbeArgs {
  LevelTable levels;
  int64_t n;
  float *params, *out;
};

__device__ __forceinline__ uint32_t pick(uint64_t i, uint32_t size) {
  const uint32_t mixed = static_cast<uint32_t>(i * 0x9E3779B97F4A7C15ull >> 32);
  return static_cast<uint32_t>(static_cast<uint64_t>(mixed) * size >> 32);
}

template <int NF, bool WRITE>
__global__ void __launch_bounds__(THREADS) probe(const __grid_constant__ ProbeArgs a) {
  const int64_t i = global_index();
  if (i >= a.n) return;
  const n2m_level& level = a.levels.at[blockIdx.y];
  float* table = a.params + static_cast<size_t>(level.offset) * NF;
  float total[NF] = {}, row[NF];
#pragma unroll
  for (int f = 0; f < NF; ++f) row[f] = 1.0f;
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    float* entry = table + static_cast<size_t>(pick(static_cast<uint64_t>(i) * 8 + c, level.size)) * NF;
    if (WRITE) {
      reduce_row<NF>(entry, row);
    } else {
      load_aligned<NF>(entry, row);
#pragma unroll
      for (int f = 0; f < NF; ++f) total[f] += row[f];
    }
  }
  if (!WRITE) store_row<NF>(a.out + (static_cast<int64_t>(blockIdx.y) * a.n + i) * NF, total);
}

template <int NF>
void launch(const ProbeArgs& a, int n_levels, bool write, cudaStream_t stream) {
  const dim3 grid(blocks_for(a.n), n_levels);
  write ? probe<NF, true><<<grid, THREADS, 0, stream>>>(a) : probe<NF, false><<<grid, THREADS, 0, stream>>>(a);
}

}  // namespace
}  // namespace n2m

using namespace n2m;

// Eight random entries per point and level: read into out [n_levels, n, n_features], neighbors beside each other, or (write = 1) added to.
extern "C" N2M_API int32_t n2m_probe_lookups_cuda(const n2m_grid* g, int64_t n, float* params, float* out, int32_t write, void* stream) {
  if (n == 0) return N2M_OK;
  const ProbeArgs a{copy_levels(*g), n, params, out};
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  switch (g->n_features) {
    case 1: launch<1>(a, g->n_levels, write != 0, on); break;
    case 2: launch<2>(a, g->n_levels, write != 0, on); break;
    case 4: launch<4>(a, g->n_levels, write != 0, on); break;
    case 8: launch<8>(a, g->n_levels, write != 0, on); break;
    default: return N2M_UNSUPPORTED;
  }
  return launch_status();
}
