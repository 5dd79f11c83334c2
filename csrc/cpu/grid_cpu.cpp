// Hash-grid driver: chunks of points, threads, transposition of coordinates, choice of the instruction set.
//
// Forward and input gradient: a task is a chunk of points that walks the levels, so that one level's table stays in the
// cache for a whole chunk. Parameter gradient: a task is a level (or a range of its entries) that walks the points in
// order, so that no two threads write the same entry and the sum does not depend on the number of threads.
#include <string.h>

#include <algorithm>
#include <atomic>

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

bool supported(const n2m_grid& g) { return (g.n_dims == 2 || g.n_dims == 3) && log2_of(g.n_features) >= 0; }

int64_t padded(int64_t n) { return (n + MAX_LANES - 1) / MAX_LANES * MAX_LANES; }

// [n, d] -> one array per axis; the padding repeats zero, which is a valid coordinate.
void split_axes(const float* rows, int64_t n, int n_dims, int64_t pitch, float* axes) {
  for (int d = 0; d < n_dims; ++d) {
    float* axis = axes + d * pitch;
    for (int64_t i = 0; i < n; ++i) axis[i] = rows[i * n_dims + d];
    for (int64_t i = n; i < padded(n); ++i) axis[i] = 0.0f;
  }
}

GridChunk make_chunk(const n2m_grid& g, int level, const void* params) {
  GridChunk chunk{};
  chunk.level = g.levels[level];
  chunk.smoothstep = g.smoothstep != 0;
  chunk.stride = static_cast<int64_t>(g.n_levels) * g.n_features;
  if (params) {
    const size_t value_bytes = g.half ? 2 : 4;
    chunk.params = static_cast<const char*>(params) + static_cast<size_t>(chunk.level.offset) * g.n_features * value_bytes;
  }
  return chunk;
}

// Points per task: large enough to reuse a level's table, small enough for the outputs to stay in the second-level cache.
int64_t chunk_points(int64_t n) {
  const int64_t even = (n + thread_count() - 1) / thread_count();
  return padded(std::min<int64_t>(std::max<int64_t>(even, 256), 8192));
}

struct ForwardArgs {
  const n2m_grid& g;
  const float* points;
  const void* params;
  const float* tangent;
  float *out, *out_tangent;
};

bool forward_chunk(const ForwardArgs& a, int64_t begin, int64_t n) {
  const n2m_grid& g = a.g;
  const int64_t pitch = padded(n);
  float* axes = static_cast<float*>(scratch(0, 2 * g.n_dims * pitch * 4));
  if (!axes) return false;
  float* tangent_axes = axes + g.n_dims * pitch;
  split_axes(a.points + begin * g.n_dims, n, g.n_dims, pitch, axes);
  if (a.tangent) split_axes(a.tangent + begin * g.n_dims, n, g.n_dims, pitch, tangent_axes);
  const GridKernels& k = *kernels.load();
  const auto& table = a.tangent ? k.jvp : k.forward;
  const int64_t row = static_cast<int64_t>(g.n_levels) * g.n_features;
  for (int level = 0; level < g.n_active; ++level) {
    GridChunk chunk = make_chunk(g, level, a.params);
    chunk.n = n;
    for (int d = 0; d < g.n_dims; ++d) chunk.x[d] = axes + d * pitch, chunk.tangent[d] = tangent_axes + d * pitch;
    chunk.out = a.out + begin * row + level * g.n_features;
    if (a.tangent) chunk.out_tangent = a.out_tangent + begin * row + level * g.n_features;
    table[g.n_dims - 2][log2_of(g.n_features)][g.half](chunk);
  }
  const size_t rest = static_cast<size_t>(g.n_levels - g.n_active) * g.n_features * sizeof(float);
  for (float* out : {a.out, a.out_tangent}) {
    if (rest == 0 || out == nullptr) continue;
    for (int64_t i = begin; i < begin + n; ++i) memset(out + i * row + g.n_active * g.n_features, 0, rest);
  }
  return true;
}

int32_t run_forward(const ForwardArgs& args, int64_t n) {
  if (!supported(args.g)) return N2M_UNSUPPORTED;
  std::atomic<bool> enough{true};
  parallel_chunks(n, chunk_points(n), [&](int64_t begin, int64_t end) {
    if (!forward_chunk(args, begin, end - begin)) enough = false;
  });
  return enough ? N2M_OK : N2M_OUT_OF_MEMORY;
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

const char* n2m_cpu_isa(void) { return name_of(kernels); }

int32_t n2m_set_isa(const char* name) {
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
  return run_forward({*g, points, params, nullptr, out, nullptr}, n);
}

int32_t n2m_grid_jvp(const n2m_grid* g, int64_t n, const float* points, const void* params, const float* tangent,
                     float* out, float* out_tangent) {
  return run_forward({*g, points, params, tangent, out, out_tangent}, n);
}

int32_t n2m_grid_backward(const n2m_grid* g, int64_t n, const float* points, const float* grad_out, const float* tangent,
                          const float* grad_tangent, float* grad_params) {
  if (!supported(*g)) return N2M_UNSUPPORTED;
  constexpr int64_t BLOCK = 65536;  // points per sweep: coordinates and gradients stay in the last-level cache
  const int n_dims = g->n_dims;
  const int64_t row = static_cast<int64_t>(g->n_levels) * g->n_features, pitch = padded(std::min(n, BLOCK));
  float* axes = static_cast<float*>(scratch(1, 2 * n_dims * pitch * 4));
  if (!axes) return N2M_OUT_OF_MEMORY;
  float* tangent_axes = axes + n_dims * pitch;
  // More threads than levels: each level's entries are shared out, and every owner finds its own corners.
  const int parts = g->n_active > 0 ? (thread_count() + g->n_active - 1) / g->n_active : 1;
  for (int64_t begin = 0; begin < n; begin += BLOCK) {
    const int64_t m = std::min(BLOCK, n - begin);
    split_axes(points + begin * n_dims, m, n_dims, pitch, axes);
    if (grad_tangent) split_axes(tangent + begin * n_dims, m, n_dims, pitch, tangent_axes);
    parallel_tasks(static_cast<int64_t>(g->n_active) * parts, [&](int64_t task) {
      const int level = g->n_active - 1 - static_cast<int>(task / parts);  // the large tables first
      GridChunk chunk = make_chunk(*g, level, nullptr);
      chunk.n = m;
      for (int d = 0; d < n_dims; ++d) chunk.x[d] = axes + d * pitch, chunk.tangent[d] = tangent_axes + d * pitch;
      const uint64_t part = static_cast<uint64_t>(task % parts), size = chunk.level.size;
      chunk.first = static_cast<uint32_t>(size * part / parts);
      chunk.last = static_cast<uint32_t>(size * (part + 1) / parts);
      const int64_t at = begin * row + level * g->n_features;
      chunk.grad_out = grad_out ? grad_out + at : nullptr;
      chunk.grad_tangent = grad_tangent ? grad_tangent + at : nullptr;
      chunk.grad_params = grad_params + static_cast<size_t>(chunk.level.offset) * g->n_features;
      kernels.load()->backward[n_dims - 2][log2_of(g->n_features)](chunk);
    });
  }
  return N2M_OK;
}

int32_t n2m_grid_input_grad(const n2m_grid* g, int64_t n, const float* points, const void* params, const float* grad_out,
                            const float* tangent, const float* grad_tangent, float* grad_points) {
  if (!supported(*g)) return N2M_UNSUPPORTED;
  const int n_dims = g->n_dims;
  const int64_t row = static_cast<int64_t>(g->n_levels) * g->n_features;
  std::atomic<bool> enough{true};
  parallel_chunks(n, chunk_points(n), [&](int64_t begin, int64_t end) {
    const int64_t m = end - begin, pitch = padded(m);
    float* axes = static_cast<float*>(scratch(0, 3 * n_dims * pitch * 4));
    if (!axes) {
      enough = false;
      return;
    }
    float *tangent_axes = axes + n_dims * pitch, *grad_axes = tangent_axes + n_dims * pitch;
    split_axes(points + begin * n_dims, m, n_dims, pitch, axes);
    if (grad_tangent) split_axes(tangent + begin * n_dims, m, n_dims, pitch, tangent_axes);
    memset(grad_axes, 0, n_dims * pitch * sizeof(float));
    for (int level = 0; level < g->n_active; ++level) {
      GridChunk chunk = make_chunk(*g, level, params);
      chunk.n = m;
      for (int d = 0; d < n_dims; ++d) {
        chunk.x[d] = axes + d * pitch, chunk.tangent[d] = tangent_axes + d * pitch, chunk.grad_x[d] = grad_axes + d * pitch;
      }
      const int64_t at = begin * row + level * g->n_features;
      chunk.grad_out = grad_out ? grad_out + at : nullptr;
      chunk.grad_tangent = grad_tangent ? grad_tangent + at : nullptr;
      kernels.load()->input_grad[n_dims - 2][log2_of(g->n_features)][g->half](chunk);
    }
    for (int64_t i = 0; i < m; ++i)
      for (int d = 0; d < n_dims; ++d) grad_points[(begin + i) * n_dims + d] = grad_axes[d * pitch + i];
  });
  return enough ? N2M_OK : N2M_OUT_OF_MEMORY;
}

}  // extern "C"
