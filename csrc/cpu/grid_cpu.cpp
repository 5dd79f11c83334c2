// Hash-grid driver: chunks of points, threads, transposition of coordinates, choice of the instruction set.
//
// Forward and input gradient: a task is a chunk of points that walks the levels, so that one level's table stays in the
// cache for a whole chunk. Parameter gradient: a task is a level (or a range of its entries) that walks the points in
// order, so that no two threads write the same entry and the sum does not depend on the number of threads.
#include <string.h>

#include <algorithm>
#include <atomic>

#include "core/check.h"
#include "cpu/flat_cpu.h"
#include "cpu/grid_cpu.h"
#include "cpu/parallel.h"

namespace n2m {
namespace {

const GridKernels* best_kernels() {
#if N2M_X86
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (avx512 && avx2) return &grid_avx512;
  if (avx2) return &grid_avx2;
#endif
  return &grid_scalar;
}

std::atomic<const GridKernels*> kernels{best_kernels()};

const char* name_of(const GridKernels* k) {
#if N2M_X86
  if (k == &grid_avx512) return "avx512";
  if (k == &grid_avx2) return "avx2";
#endif
  (void)k;
  return "scalar";
}

}  // namespace

const FlatKernels& flat_kernels() {
  const GridKernels* k = kernels.load(std::memory_order_relaxed);
#if N2M_X86
  if (k == &grid_avx512) return flat_avx512;
  if (k == &grid_avx2) return flat_avx2;
#endif
  (void)k;
  return flat_scalar;
}

namespace {

int log2_of(int n_features) { return n_features == 1 ? 0 : n_features == 2 ? 1 : n_features == 4 ? 2 : n_features == 8 ? 3 : -1; }

int64_t padded(int64_t n) { return (n + MAX_LANES - 1) / MAX_LANES * MAX_LANES; }

// [n, d] -> one array per axis; the padding is zero, which is a valid coordinate.
void split_axes(const float* rows, int64_t n, int n_dims, int64_t pitch, float* axes) {
  for (int d = 0; d < n_dims; ++d) {
    float* axis = axes + d * pitch;
    for (int64_t i = 0; i < n; ++i) axis[i] = rows[i * n_dims + d];
    for (int64_t i = n; i < padded(n); ++i) axis[i] = 0.0f;
  }
}

// Points [begin, end) of rows [n, n_levels * NF] into one array [n, NF] per level, and back. A pass over one level then
// reads and writes memory in order instead of a few bytes of every row.
template <int NF>
void to_levels(const float* rows, int64_t n, int n_levels, int64_t begin, int64_t end, float* levels) {
  for (int64_t i = begin; i < end; ++i)
    for (int l = 0; l < n_levels; ++l) memcpy(levels + (l * n + i) * NF, rows + (i * n_levels + l) * NF, NF * sizeof(float));
}
template <int NF>
void from_levels(const float* levels, int64_t n, int n_levels, int64_t begin, int64_t end, float* rows) {
  for (int64_t i = begin; i < end; ++i)
    for (int l = 0; l < n_levels; ++l) memcpy(rows + (i * n_levels + l) * NF, levels + (l * n + i) * NF, NF * sizeof(float));
}
using Transpose = void (*)(const float* from, int64_t n, int n_levels, int64_t begin, int64_t end, float* to);
constexpr Transpose TO_LEVELS[4] = {to_levels<1>, to_levels<2>, to_levels<4>, to_levels<8>};
constexpr Transpose FROM_LEVELS[4] = {from_levels<1>, from_levels<2>, from_levels<4>, from_levels<8>};

GridChunk make_chunk(const n2m_grid& g, int level, int64_t n, const void* params) {
  GridChunk chunk{};
  chunk.level = g.levels[level];
  chunk.smoothstep = g.smoothstep != 0;
  chunk.n = n;
  chunk.stride = g.n_features;
  if (params) {
    const size_t value_bytes = g.half ? 2 : 4;
    chunk.params = static_cast<const char*>(params) + static_cast<size_t>(chunk.level.offset) * g.n_features * value_bytes;
  }
  return chunk;
}

// Points of a task. A large table should be fetched from memory once for as many points as possible; a small one stays in
// the second-level cache anyhow, and then so should the outputs. A multiple of MAX_LANES, so that blocks of lanes hold the
// same points for any number of threads.
int64_t chunk_points(const n2m_grid& g, int64_t n) {
  const int64_t bytes = static_cast<int64_t>(g.levels[g.n_levels - 1].size) * g.n_features * (g.half ? 2 : 4);
  const int64_t most = bytes <= 1 << 20 ? 8192 : 131072;
  const int64_t even = (n + thread_count() - 1) / thread_count();
  return padded(std::min(std::max<int64_t>(even, 256), most));
}

// Scratch of one task: coordinates, tangents and gradients by axis, features by level.
struct Workspace {
  float *x, *tangent, *grad, *levels, *levels_tangent;
  int64_t pitch;
  Workspace(int slot, const n2m_grid& g, int64_t n, bool with_tangent) : pitch(padded(n)) {
    const int64_t axes = g.n_dims * pitch, features = static_cast<int64_t>(g.n_levels) * g.n_features * pitch;
    x = static_cast<float*>(scratch(slot, (3 * axes + (with_tangent ? 2 : 1) * features) * sizeof(float)));
    tangent = x + axes, grad = tangent + axes, levels = grad + axes, levels_tangent = levels + features;
  }
  void point_at(GridChunk& chunk, int n_dims) const {
    for (int d = 0; d < n_dims; ++d) {
      chunk.x[d] = x + d * pitch, chunk.tangent[d] = tangent + d * pitch, chunk.grad_x[d] = grad + d * pitch;
    }
  }
};

struct ForwardArgs {
  const n2m_grid& g;
  const float* points;
  const void* params;
  const float* tangent;
  float *out, *out_tangent;
};

bool forward_chunk(const ForwardArgs& a, int64_t begin, int64_t n) {
  const n2m_grid& g = a.g;
  const Workspace work(0, g, n, a.tangent != nullptr);
  if (!work.x) return false;
  split_axes(a.points + begin * g.n_dims, n, g.n_dims, work.pitch, work.x);
  if (a.tangent) split_axes(a.tangent + begin * g.n_dims, n, g.n_dims, work.pitch, work.tangent);
  const auto& table = a.tangent ? kernels.load()->jvp : kernels.load()->forward;
  const int64_t level_size = n * g.n_features, row = static_cast<int64_t>(g.n_levels) * g.n_features;
  const int64_t active = g.n_active * level_size, all = g.n_levels * level_size;
  for (int level = 0; level < g.n_active; ++level) {
    GridChunk chunk = make_chunk(g, level, n, a.params);
    work.point_at(chunk, g.n_dims);
    chunk.out = work.levels + level * level_size, chunk.out_tangent = work.levels_tangent + level * level_size;
    table[g.n_dims - 2][log2_of(g.n_features)][g.half](chunk);
  }
  memset(work.levels + active, 0, (all - active) * sizeof(float));
  FROM_LEVELS[log2_of(g.n_features)](work.levels, n, g.n_levels, 0, n, a.out + begin * row);
  if (a.tangent) {
    memset(work.levels_tangent + active, 0, (all - active) * sizeof(float));
    FROM_LEVELS[log2_of(g.n_features)](work.levels_tangent, n, g.n_levels, 0, n, a.out_tangent + begin * row);
  }
  return true;
}

// The pointers that every pass reads.
bool check_pass(const n2m_grid* g, int64_t n, const float* points, const void* params, bool needs_params) {
  return check_grid(g, n) && check_pointer("points", points, n > 0) && check_pointer("params", params, needs_params && n > 0);
}

int32_t run_forward(const ForwardArgs& args, int64_t n) {
  std::atomic<bool> enough{true};
  parallel_chunks(n, chunk_points(args.g, n), [&](int64_t begin, int64_t end) {
    if (!forward_chunk(args, begin, end - begin)) enough = false;
  });
  return enough ? N2M_OK : N2M_OUT_OF_MEMORY;
}

struct BackwardArgs {
  const n2m_grid& g;
  const float *points, *grad_out, *tangent, *grad_tangent;
  const void* params;
};

// Coordinates by axis and gradients by level of points [from, to) of the chunk that begins at `begin`.
void prepare(const BackwardArgs& a, const Workspace& work, int64_t begin, int64_t n) {
  const n2m_grid& g = a.g;
  const int64_t row = static_cast<int64_t>(g.n_levels) * g.n_features;
  const Transpose to_levels = TO_LEVELS[log2_of(g.n_features)];
  split_axes(a.points + begin * g.n_dims, n, g.n_dims, work.pitch, work.x);
  if (a.grad_tangent) split_axes(a.tangent + begin * g.n_dims, n, g.n_dims, work.pitch, work.tangent);
  parallel_chunks(n, 4096, [&](int64_t from, int64_t to) {
    if (a.grad_out) to_levels(a.grad_out + begin * row, n, g.n_levels, from, to, work.levels);
    if (a.grad_tangent) to_levels(a.grad_tangent + begin * row, n, g.n_levels, from, to, work.levels_tangent);
  });
}

GridChunk level_chunk(const BackwardArgs& a, const Workspace& work, int level, int64_t n) {
  GridChunk chunk = make_chunk(a.g, level, n, a.params);
  work.point_at(chunk, a.g.n_dims);
  chunk.grad_out = a.grad_out ? work.levels + level * n * a.g.n_features : nullptr;
  chunk.grad_tangent = a.grad_tangent ? work.levels_tangent + level * n * a.g.n_features : nullptr;
  return chunk;
}

bool param_grad_chunk(const BackwardArgs& a, int64_t begin, int64_t n, float* grad_params) {
  const n2m_grid& g = a.g;
  const Workspace work(1, g, n, a.grad_tangent != nullptr);
  if (!work.x) return false;
  prepare(a, work, begin, n);
  // More threads than levels: each level's entries are shared out, and every owner finds its own corners.
  const int64_t parts = (thread_count() + g.n_active - 1) / g.n_active;
  parallel_tasks(g.n_active * parts, [&](int64_t task) {
    const int level = g.n_active - 1 - static_cast<int>(task / parts);  // the large tables first
    GridChunk chunk = level_chunk(a, work, level, n);
    const int64_t part = task % parts, size = chunk.level.size;
    chunk.first = static_cast<uint32_t>(size * part / parts);
    chunk.last = static_cast<uint32_t>(size * (part + 1) / parts);
    chunk.grad_params = grad_params + static_cast<size_t>(chunk.level.offset) * g.n_features;
    kernels.load()->backward[g.n_dims - 2][log2_of(g.n_features)](chunk);
  });
  return true;
}

bool input_grad_chunk(const BackwardArgs& a, int64_t begin, int64_t n, float* grad_points) {
  const n2m_grid& g = a.g;
  const Workspace work(0, g, n, a.grad_tangent != nullptr);
  if (!work.x) return false;
  prepare(a, work, begin, n);
  memset(work.grad, 0, g.n_dims * work.pitch * sizeof(float));
  for (int level = 0; level < g.n_active; ++level) {
    const GridChunk chunk = level_chunk(a, work, level, n);
    kernels.load()->input_grad[g.n_dims - 2][log2_of(g.n_features)][g.half](chunk);
  }
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < g.n_dims; ++d) grad_points[(begin + i) * g.n_dims + d] = work.grad[d * work.pitch + i];
  return true;
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

const char* n2m_cpu_isa(void) { return name_of(kernels); }

int32_t n2m_set_isa(const char* name) {
  if (!check_pointer("name", name)) return N2M_INVALID;
  const GridKernels* best = best_kernels();
  const GridKernels* wanted = nullptr;
  if (strcmp(name, "scalar") == 0) wanted = &grid_scalar;
#if N2M_X86
  if (strcmp(name, "avx2") == 0 && best != &grid_scalar) wanted = &grid_avx2;
#endif
  if (strcmp(name, name_of(best)) == 0) wanted = best;
  if (wanted == nullptr) return N2M_UNSUPPORTED;
  kernels = wanted;
  return N2M_OK;
}

int32_t n2m_grid_forward(const n2m_grid* g, int64_t n, const float* points, const void* params, float* out) {
  if (!check_pass(g, n, points, params, true) || !check_pointer("out", out, n > 0)) return refused(g);
  return run_forward({*g, points, params, nullptr, out, nullptr}, n);
}

int32_t n2m_grid_jvp(const n2m_grid* g, int64_t n, const float* points, const void* params, const float* tangent,
                     float* out, float* out_tangent) {
  if (!check_pass(g, n, points, params, true) || !check_pointer("tangent", tangent, n > 0)) return refused(g);
  if (!check_pointer("out", out, n > 0) || !check_pointer("out_tangent", out_tangent, n > 0)) return refused(g);
  return run_forward({*g, points, params, tangent, out, out_tangent}, n);
}

int32_t n2m_grid_backward(const n2m_grid* g, int64_t n, const float* points, const float* grad_out, const float* tangent,
                          const float* grad_tangent, float* grad_params) {
  if (!check_pass(g, n, points, nullptr, false) || !check_gradients(n, grad_out, tangent, grad_tangent)) return refused(g);
  if (!check_pointer("grad_params", grad_params, n > 0)) return refused(g);
  constexpr int64_t SWEEP = 131072;  // bounds the scratch memory; a constant, because it fixes the order of the sums
  const BackwardArgs args{*g, points, grad_out, tangent, grad_tangent, nullptr};
  for (int64_t begin = 0; begin < n && g->n_active > 0; begin += SWEEP)
    if (!param_grad_chunk(args, begin, std::min(SWEEP, n - begin), grad_params)) return N2M_OUT_OF_MEMORY;
  return N2M_OK;
}

int32_t n2m_grid_input_grad(const n2m_grid* g, int64_t n, const float* points, const void* params, const float* grad_out,
                            const float* tangent, const float* grad_tangent, float* grad_points) {
  if (!check_pass(g, n, points, params, true) || !check_gradients(n, grad_out, tangent, grad_tangent)) return refused(g);
  if (!check_pointer("grad_points", grad_points, n > 0)) return refused(g);
  const BackwardArgs args{*g, points, grad_out, tangent, grad_tangent, params};
  std::atomic<bool> enough{true};
  parallel_chunks(n, chunk_points(*g, n), [&](int64_t begin, int64_t end) {
    if (!input_grad_chunk(args, begin, end - begin, grad_points)) enough = false;
  });
  return enough ? N2M_OK : N2M_OUT_OF_MEMORY;
}

}  // extern "C"
