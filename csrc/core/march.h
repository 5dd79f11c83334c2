// Marching one ray through a bit grid. Letters: o origin, d direction, t distance along the ray in units of |d|.
//
// The lattice t_k = t_enter + (k + jitter) step is fixed by the ray alone; a lattice point is a sample when its cell's bit
// is set. Cells in between are skipped by DDA, conservatively, so that the result equals testing every lattice point.
// Cascade c covers [-2^c, 2^c]^3 with the same resolution; a point belongs to the smallest one that holds it.
// A ray has at most MAX_LATTICE lattice points (a float counts no further), and a ray without a direction none.
#pragma once
#include "core/hd.h"
#include "n2m_abi.h"

namespace n2m {

constexpr int32_t MAX_LATTICE = 1 << 24;

// Rounded twice everywhere, so that the torch twin lands in the same cell.
N2M_HD float mul_then_add(float a, float b, float c) {
#ifdef __CUDA_ARCH__
  return __fadd_rn(__fmul_rn(a, b), c);
#else
  return a * b + c;
#endif
}

N2M_HD float lattice_t(const n2m_march& m, float t_enter, int32_t k, float jitter) {
  return mul_then_add(static_cast<float>(k) + jitter, m.step, t_enter);
}

N2M_HD float half_extent(const n2m_march& m) { return static_cast<float>(1 << (m.n_cascades - 1)); }

// Slab test against the box and [near, far].
N2M_HD bool clip_ray(const n2m_march& m, const float (&o)[3], const float (&d)[3], float& t_enter, float& t_exit) {
  const float half = half_extent(m);
  t_enter = m.near, t_exit = m.far;
  if (d[0] == 0.0f && d[1] == 0.0f && d[2] == 0.0f) return false;
  for (int a = 0; a < 3; ++a) {
    if (d[a] == 0.0f) {
      if (!(o[a] >= -half && o[a] <= half)) return false;
      continue;
    }
    const float t0 = (-half - o[a]) / d[a], t1 = (half - o[a]) / d[a];
    t_enter = max1(t_enter, min1(t0, t1));
    t_exit = min1(t_exit, max1(t0, t1));
  }
  return t_enter < t_exit;
}

struct MarchCell {
  int32_t x[3];
  int32_t cascade;
  uint32_t index;
};

N2M_HD MarchCell cell_at(const n2m_march& m, const float (&p)[3]) {
  MarchCell cell;
  float reach = 0.0f, extent = 1.0f, inverse = 1.0f;
  for (int a = 0; a < 3; ++a) reach = max1(reach, p[a] < 0.0f ? -p[a] : p[a]);
  cell.cascade = 0;
  while (cell.cascade < m.n_cascades - 1 && reach > extent) ++cell.cascade, extent *= 2.0f, inverse *= 0.5f;
  cell.index = static_cast<uint32_t>(cell.cascade);
  for (int a = 0; a < 3; ++a) {
    const float u = mul_then_add(p[a], inverse, 1.0f) * (0.5f * static_cast<float>(m.resolution));
    // Clamped before it is an integer: a ray from very far away is placed with a large error.
    cell.x[a] = truncate1(min1(max1(u, 0.0f), static_cast<float>(m.resolution - 1)));
    cell.index = cell.index * static_cast<uint32_t>(m.resolution) + static_cast<uint32_t>(cell.x[a]);
  }
  return cell;
}

// The cell of the point at distance t.
N2M_HD MarchCell cell_on_ray(const n2m_march& m, const float (&o)[3], const float (&d)[3], float t) {
  float p[3];
  for (int a = 0; a < 3; ++a) p[a] = mul_then_add(t, d[a], o[a]);
  return cell_at(m, p);
}

N2M_HD bool is_occupied(const uint8_t* bits, const MarchCell& cell) { return bits[cell.index >> 3] >> (cell.index & 7) & 1; }

// Where the ray leaves the block of `width` cells that holds `cell`.
N2M_HD float block_exit(const n2m_march& m, const float (&o)[3], const float (&d)[3], const MarchCell& cell, int32_t width,
                        float t_exit) {
  const float extent = static_cast<float>(1 << cell.cascade), size = 2.0f * extent / static_cast<float>(m.resolution);
  for (int a = 0; a < 3; ++a) {
    if (d[a] == 0.0f) continue;
    const int32_t face = cell.x[a] / width * width + (d[a] > 0.0f ? width : 0);
    t_exit = min1(t_exit, (static_cast<float>(face) * size - extent - o[a]) / d[a]);
  }
  return t_exit;
}

// Calls sink(k) for the samples' lattice numbers from `first` on, in order; the sink returns false to stop. `blocks` (or null) has a byte
// per block of 8^3 cells, zero where all its bits are: large empty regions are then left in one step.
template <class Sink>
N2M_HD void march_ray(const n2m_march& m, const uint8_t* bits, const uint8_t* blocks, const float (&o)[3],
                      const float (&d)[3], float jitter, Sink&& sink, int32_t first = 0) {
  float t_enter, t_exit;
  if (!clip_ray(m, o, d, t_enter, t_exit)) return;
  const float inv_step = 1.0f / m.step;
  const int32_t n_blocks = m.resolution / 8;
  for (int32_t k = first; k < MAX_LATTICE;) {
    const float t = lattice_t(m, t_enter, k, jitter);
    if (!(t < t_exit)) return;
    const MarchCell cell = cell_on_ray(m, o, d, t);
    if (is_occupied(bits, cell)) {
      if (!sink(k)) return;
      ++k;
      continue;
    }
    // A block of an outer cascade must not reach into the next smaller one, which begins at a quarter of the resolution.
    const bool block_empty =
        blocks && (cell.cascade == 0 || m.resolution % 32 == 0) &&
        !blocks[((cell.cascade * n_blocks + cell.x[0] / 8) * n_blocks + cell.x[1] / 8) * n_blocks + cell.x[2] / 8];
    const float t_next = block_exit(m, o, d, cell, block_empty ? 8 : 1, t_exit);
    // Rounding of t, of the faces and of the positions, in lattice steps: never skip a point that may lie beyond.
    const float reach = max1(max1(t_next, -t_next), max1(t_enter, 1.0f));
    const float slack = 4e-6f * (reach + half_extent(m)) * inv_step + 1e-3f;
    const int32_t k_next = truncate1((t_next - t_enter) * inv_step - jitter - slack) + 1;
    k = k_next > k ? k_next : k + 1;
  }
}

}  // namespace n2m
