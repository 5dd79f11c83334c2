// What this machine can do at best, measured beside the kernels: random lookups and updates in tables of the grid's sizes
// (level after level, as the kernels go), and streaming through memory. For benchmarks only.
#include <string.h>

#include <algorithm>

#include "core/check.h"
#include "cpu/parallel.h"
#include "n2m_abi.h"

using namespace n2m;

namespace {

// An entry chosen by a counter: no chain of dependencies, no index array to read.
inline size_t pick(uint64_t i, uint32_t size) {
  const uint32_t mixed = static_cast<uint32_t>(i * 0x9E3779B97F4A7C15ull >> 32);
  return static_cast<size_t>(static_cast<uint64_t>(mixed) * size >> 32);
}

template <int NF>
void lookups(const float* table, uint32_t size, int64_t begin, int64_t end, float* out) {
  for (int64_t i = begin; i < end; ++i) {
    float total[NF] = {};
    for (int c = 0; c < 8; ++c) {
      const float* row = table + pick(static_cast<uint64_t>(i) * 8 + c, size) * NF;
      for (int f = 0; f < NF; ++f) total[f] += row[f];
    }
    memcpy(out + (i - begin) % 1024 * NF, total, sizeof total);
  }
}

template <int NF>
void updates(float* table, uint32_t size, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    for (int c = 0; c < 8; ++c) {
      float* row = table + pick(static_cast<uint64_t>(i) * 8 + c, size) * NF;
      for (int f = 0; f < NF; ++f) row[f] += 1.0f;
    }
}

template <int NF>
void probe(const n2m_grid& g, int64_t n, float* params, bool write) {
  if (write) {
    parallel_tasks(g.n_levels, [&](int64_t task) {
      const n2m_level& level = g.levels[g.n_levels - 1 - task];
      updates<NF>(params + static_cast<size_t>(level.offset) * NF, level.size, 0, n);
    });
    return;
  }
  parallel_chunks(n, std::max<int64_t>(1, (n + thread_count() - 1) / thread_count()), [&](int64_t begin, int64_t end) {
    float out[1024 * NF];
    for (int l = 0; l < g.n_levels; ++l)
      lookups<NF>(params + static_cast<size_t>(g.levels[l].offset) * NF, g.levels[l].size, begin, end, out);
  });
}

}  // namespace

extern "C" {

// Eight random entries per point and level, read or (write = 1) read, changed and written.
N2M_API int32_t n2m_probe_lookups(const n2m_grid* g, int64_t n, float* params, int32_t write) {
  if (!check_grid(g, n) || !check_pointer("params", params)) return N2M_INVALID;
  switch (g->n_features) {
    case 1: probe<1>(*g, n, params, write != 0); break;
    case 2: probe<2>(*g, n, params, write != 0); break;
    case 4: probe<4>(*g, n, params, write != 0); break;
    case 8: probe<8>(*g, n, params, write != 0); break;
    default: return N2M_UNSUPPORTED;
  }
  return N2M_OK;
}

// to = from, in parallel: n floats read and written.
N2M_API int32_t n2m_probe_copy(int64_t n, const float* from, float* to) {
  if (!check_count("n", n) || !check_pointer("from", from, n > 0) || !check_pointer("to", to, n > 0)) return N2M_INVALID;
  parallel_chunks(n, 1 << 18, [&](int64_t begin, int64_t end) { memcpy(to + begin, from + begin, (end - begin) * sizeof(float)); });
  return N2M_OK;
}

}  // extern "C"
