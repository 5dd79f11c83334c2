// Launching: block size, stream, and the error code of the ABI. Kernels only enqueue work on the caller's stream.
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>

#include "core/check.h"
#include "n2m_abi.h"

namespace n2m {

constexpr int THREADS = 256;
constexpr int MAX_LEVELS = MAX_GRID_LEVELS;
constexpr unsigned WARP = 32, ALL_LANES = 0xffffffffu;

inline unsigned blocks_for(int64_t n, int per_block = THREADS) { return static_cast<unsigned>((n + per_block - 1) / per_block); }

inline int32_t launch_status() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? N2M_OK : N2M_CUDA_ERROR + static_cast<int32_t>(error);
}

// The level table travels by value: kernel parameters live in constant memory.
struct LevelTable {
  n2m_level at[MAX_LEVELS];
};

inline LevelTable copy_levels(const n2m_grid& g) {
  LevelTable table{};
  for (int i = 0; i < g.n_levels && i < MAX_LEVELS; ++i) table.at[i] = g.levels[i];
  return table;
}

__device__ __forceinline__ int64_t global_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

}  // namespace n2m
