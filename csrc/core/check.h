// What an entry point checks of its arguments before it touches memory: null pointers, sizes, ranges, finite numbers. Host only.
// How long an array is the caller does not say, so that no check can see an array that is too short.
//
// A check returns true, or leaves "NAME: expected X, got Y" for n2m_last_error. Pointers may be null where nothing is read.
#pragma once
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <initializer_list>

#include "n2m_abi.h"

namespace n2m {

constexpr int32_t MAX_GRID_LEVELS = 32;
constexpr int64_t MAX_COUNT = int64_t{1} << 38;  // rows of any array: a number of blocks and products with row sizes then fit

inline char* error_text() {
  static thread_local char text[256] = "";
  return text;
}
constexpr int ERROR_BYTES = 256;

__attribute__((format(printf, 1, 2))) inline bool refuse(const char* format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(error_text(), ERROR_BYTES, format, values);
  va_end(values);
  return false;
}

inline bool check_pointer(const char* name, const void* pointer, bool needed = true) {
  return !needed || pointer != nullptr || refuse("%s: expected memory, got a null pointer", name);
}

inline bool check_count(const char* name, int64_t n, int64_t low = 0, int64_t high = MAX_COUNT) {
  if (n >= low && n <= high) return true;
  return refuse("%s: expected %lld to %lld, got %lld", name, static_cast<long long>(low), static_cast<long long>(high),
                static_cast<long long>(n));
}

// low <= x <= high, which no NaN passes.
inline bool check_range(const char* name, double x, double low, double high) {
  return (x >= low && x <= high) || refuse("%s: expected a number from %g to %g, got %g", name, low, high, x);
}

inline bool check_finite(const char* name, double x) {
  return isfinite(x) || refuse("%s: expected a finite number, got %g", name, x);
}

template <class T>
inline bool check_all_finite(const char* name, const T* values, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if (!isfinite(static_cast<double>(values[i])))
      return refuse("%s: expected finite numbers, got %g at %lld", name, static_cast<double>(values[i]), static_cast<long long>(i));
  return true;
}

template <class T>
inline bool check_indices(const char* name, const T* values, int64_t n, int64_t size) {
  for (int64_t i = 0; i < n; ++i)
    if (values[i] < 0 || static_cast<int64_t>(values[i]) >= size)
      return refuse("%s: expected indices from 0 to %lld, got %lld at %lld", name, static_cast<long long>(size - 1),
                    static_cast<long long>(values[i]), static_cast<long long>(i));
  return true;
}

inline bool check_level(const n2m_grid& g, int32_t l, uint64_t first_free) {
  const n2m_level& level = g.levels[l];
  uint64_t vertices = 1;  // of a dense level; stops before it overflows
  for (int32_t d = 0; d < g.n_dims && vertices <= level.size; ++d) vertices *= level.resolution;
  const bool fits = level.hashed == 1 ? (level.size & (level.size - 1)) == 0 : vertices <= level.size && level.resolution >= 2;
  if (level.hashed > 1) return refuse("levels[%d].hashed: expected 0 or 1, got %u", l, level.hashed);
  if (level.size < 1 || !fits)
    return refuse("levels[%d].size: expected %s, got %u at resolution %u", l,
                  level.hashed ? "a power of two" : "resolution^n_dims or more of a resolution from 2", level.size, level.resolution);
  if (level.offset < first_free || uint64_t{level.offset} + level.size > UINT32_MAX)
    return refuse("levels[%d].offset: expected the end of the level before, %llu, or more, got %u", l,
                  static_cast<unsigned long long>(first_free), level.offset);
  return check_finite("levels: scale", level.scale);
}

// What there are kernels for.
inline bool supported(const n2m_grid& g) {
  const int32_t k = g.n_features;
  return (g.n_dims == 2 || g.n_dims == 3) && (k == 1 || k == 2 || k == 4 || k == 8);
}

// What an entry point answers to a grid that check_grid refused.
inline int32_t refused(const n2m_grid* g) { return g && !supported(*g) ? N2M_UNSUPPORTED : N2M_INVALID; }

inline bool check_grid(const n2m_grid* g, int64_t n) {
  if (!check_pointer("grid", g) || !check_count("n", n)) return false;
  if (!supported(*g)) return refuse("n_dims, n_features: expected 2 or 3 and 1, 2, 4 or 8, got %d and %d", g->n_dims, g->n_features);
  if (!check_count("n_levels", g->n_levels, 1, MAX_GRID_LEVELS) || !check_count("n_active", g->n_active, 0, g->n_levels)) return false;
  if (!check_count("smoothstep", g->smoothstep, 0, 1) || !check_count("half", g->half, 0, 1)) return false;
  if (!check_pointer("levels", g->levels)) return false;
  uint64_t end = 0;
  for (int32_t l = 0; l < g->n_levels; end = uint64_t{g->levels[l].offset} + g->levels[l].size, ++l)
    if (!check_level(*g, l, end)) return false;
  return true;
}

// A direction and the gradient along it come together; without them the gradient of the features must be there.
inline bool check_gradients(int64_t n, const float* grad_out, const float* tangent, const float* grad_tangent) {
  if (n > 0 && (tangent == nullptr) != (grad_tangent == nullptr))
    return refuse("tangent, grad_tangent: expected both or neither, got one null pointer");
  return n == 0 || grad_tangent || check_pointer("grad_out", grad_out);
}

struct Named {
  const char* name;
  const void* pointer;
  bool needed;
};

inline bool check_pointers(std::initializer_list<Named> all) {
  for (const Named& one : all)
    if (!check_pointer(one.name, one.pointer, one.needed)) return false;
  return true;
}

inline bool check_march(const n2m_march* m, int64_t n_rays) {
  if (!check_pointer("march", m) || !check_count("n_rays", n_rays, 0, INT32_MAX)) return false;
  if (!check_count("resolution", m->resolution, 2, 1024) || !check_count("n_cascades", m->n_cascades, 1, 8)) return false;
  if (m->resolution % (m->n_cascades > 1 ? 4 : 2) != 0)
    return refuse("resolution: expected a multiple of %d, got %d", m->n_cascades > 1 ? 4 : 2, m->resolution);
  const int64_t cells = int64_t{m->resolution} * m->resolution * m->resolution * m->n_cascades;
  if (!check_count("resolution, n_cascades: cells", cells, 0, int64_t{1} << 32)) return false;
  if (!check_finite("near", m->near) || m->near < 0.0f || !(m->far > m->near))
    return refuse("near, far: expected 0 <= near < far, got %g and %g", m->near, m->far);
  return check_range("step", m->step, 1e-12, 1e30);
}

// (start, count) of every ray: nothing negative.
inline bool check_packing(int64_t n_rays, const int32_t* packed_info) {
  for (int64_t r = 0; r < n_rays; ++r)
    if (packed_info[2 * r] < 0 || packed_info[2 * r + 1] < 0)
      return refuse("packed_info: expected no negative start or count, got %d and %d of ray %lld", packed_info[2 * r],
                    packed_info[2 * r + 1], static_cast<long long>(r));
  return true;
}

inline bool check_composite(int64_t n_rays, int32_t n_channels, float stop) {
  if (!check_count("n_rays", n_rays, 0, INT32_MAX) || !check_count("n_channels", n_channels, 0, 1 << 20)) return false;
  return (stop >= 0.0f && stop < 1.0f) || refuse("stop: expected a share of light in [0, 1), got %g", stop);
}

inline bool check_occupancy(int64_t n_cells, int64_t n, float decay, float threshold) {
  if (!check_count("n_cells", n_cells) || !check_count("n", n)) return false;
  if (n_cells % 8 != 0) return refuse("n_cells: expected a multiple of 8, got %lld", static_cast<long long>(n_cells));
  return check_finite("decay", decay) && (!isnan(threshold) || refuse("threshold: expected a number, got nan"));
}

inline bool check_adam(int64_t n, float lr, float beta1, float beta2, float eps, float decay, float bias1, float bias2,
                       float grad_scale, int32_t row_size) {
  if (!check_count("n", n) || !check_count("row_size", row_size, 1, INT32_MAX)) return false;
  if (n % row_size != 0) return refuse("row_size: expected a divisor of %lld, got %d", static_cast<long long>(n), row_size);
  if (!check_finite("lr", lr) || !check_finite("weight_decay", decay) || !check_finite("grad_scale", grad_scale)) return false;
  if (!check_range("beta1", beta1, 0.0, 1.0) || !check_range("beta2", beta2, 0.0, 1.0) || !check_range("eps", eps, 0.0, 1e30)) return false;
  return check_range("bias1", bias1, 1e-30, 1.0) && check_range("bias2", bias2, 1e-30, 1.0);
}

}  // namespace n2m
