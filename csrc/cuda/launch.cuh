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

// Variants that can be timed against each other in one process; n2m_cuda_set_option sets them by name.
struct Options {
  int32_t forward_group = 1;   // 1: a thread encodes the levels that share 32 bytes of a row, 0: one level
  int32_t backward_group = 1;  // likewise for the scatter
  int32_t piece = 0;           // log2 of the points that meet all levels before the next ones do, 0: all of them
  int32_t tiles = 1;           // 1: levels that fit into shared memory are summed there
  int32_t march_lanes = 0;     // 1: a thread a ray, 32: a warp a ray, 0: by the number of rays
};
inline Options& options() {
  static Options all;
  return all;
}

// x: blocks of a piece, y: levels or groups of them, z: pieces. Blocks start in the order x, y, z, so that a piece's rows can
// stay in the second-level cache until all levels have met them.
inline dim3 blocks_in_pieces(int64_t n, unsigned n_rows) {
  const unsigned blocks = blocks_for(n), wanted = options().piece > 0 ? blocks_for(int64_t{1} << options().piece) : blocks;
  const unsigned least = blocks / 65535u + 1u, size = wanted > least ? wanted : least, piece = size < blocks ? size : blocks;
  return dim3(piece, n_rows, (blocks + piece - 1u) / piece);
}
__device__ __forceinline__ int64_t index_in_pieces() {
  return (static_cast<int64_t>(blockIdx.z) * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x;
}

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
