// Hash-grid geometry: which entries a point touches on one level, and with which weights. Same cells, corner order and
// indices as tiny-cuda-nn (Mueller et al. 2022, "Instant neural graphics primitives", eq. 3 and 4), so that parameter
// vectors can be exchanged.
//
// F is a float or a vector of lanes, U the unsigned of the same width.
#pragma once
#include "core/hd.h"
#include "n2m_abi.h"

namespace n2m {

N2M_HD constexpr uint32_t prime(int axis) { return axis == 0 ? 1u : axis == 1 ? 2654435761u : 805459861u; }

N2M_HD void split_cell(float p, uint32_t& cell, float& frac) {
  int32_t whole = truncate1(p);
  float floor = static_cast<float>(whole);
  if (floor > p) floor -= 1.0f, whole -= (whole != INT32_MIN);
  cell = static_cast<uint32_t>(whole);
  frac = p - floor;
}
N2M_HD float fma_lanes(float a, float b, float c) { return fma1(a, b, c); }

// Cell and place in it. The offset 0.5 staggers the levels; nothing is clamped, what lies outside wraps.
template <int D, class F, class U>
N2M_HD void locate(const n2m_level& level, const F (&x)[D], U (&cell)[D], F (&frac)[D]) {
  for (int d = 0; d < D; ++d) split_cell(fma_lanes(F{} + level.scale, x[d], F{} + 0.5f), cell[d], frac[d]);
}

// Interpolation weight s(frac) of the upper corner, its slope and curvature with respect to the *point*.
template <class F>
N2M_HD F blend(bool smoothstep, F frac) {
  return smoothstep ? frac * frac * (3.0f - 2.0f * frac) : frac;
}
template <class F>
N2M_HD F blend_slope(bool smoothstep, F frac, float scale) {
  return smoothstep ? (6.0f * scale) * frac * (1.0f - frac) : F{} + scale;
}
template <class F>
N2M_HD F blend_curvature(bool smoothstep, F frac, float scale) {
  return smoothstep ? (6.0f * scale * scale) * (1.0f - 2.0f * frac) : F{};
}

// The corners of a cell are taken in pairs along axis 0: pair c has step bit (d - 1) of c on axis d >= 1, and a lower and an
// upper end. On a dense level the two ends are neighbors in memory. Everything a kernel needs is linear in the pairs:
//   P   = sum_c w_c pair_c      w_c = prod_{d>=1} (s_d or 1 - s_d)
//   P_a = sum_c dw_c/ds_a pair_c        P_yz = sum_c d2w_c/ds_y ds_z pair_c
// With x = s_0, slopes s', curvatures s'', lerp(Q) = (1 - x) Q_lower + x Q_upper and diff(Q) = Q_upper - Q_lower:
//   value     lerp(P)
//   gradient  s_x' diff(P),  s_y' lerp(P_y),  s_z' lerp(P_z)
//   Hessian   its derivative along a tangent v: hessian_times() below.
template <int D>
struct Pairs {
  static constexpr int N = 1 << (D - 1);
};

template <int D, class U>
N2M_HD U hashed_index(const n2m_level& level, const U (&cell)[D], int pair, uint32_t end) {
  U index = cell[0] + end;
  for (int d = 1; d < D; ++d) index ^= (cell[d] + static_cast<uint32_t>((pair >> (d - 1)) & 1)) * prime(d);
  return index & (level.size - 1);
}

// Of the pair's lower end and before the wrap: the caller reduces it modulo the level's size.
template <int D, class U>
N2M_HD U dense_index(const n2m_level& level, const U (&cell)[D], int pair) {
  U index = cell[0];
  uint32_t stride = level.resolution;
  for (int d = 1; d < D; ++d, stride *= level.resolution)
    index += (cell[d] + static_cast<uint32_t>((pair >> (d - 1)) & 1)) * stride;
  return index;
}

template <int D, class F>
N2M_HD F pair_weight(const F (&s)[D], int pair) {
  F weight = (pair & 1) ? s[1] : 1.0f - s[1];
  for (int d = 2; d < D; ++d) weight = weight * (((pair >> (d - 1)) & 1) ? s[d] : 1.0f - s[d]);
  return weight;
}

// dw/ds_a for an axis a >= 1.
template <int D, class F>
N2M_HD F pair_slope(const F (&s)[D], int pair, int a) {
  F weight = F{} + (((pair >> (a - 1)) & 1) ? 1.0f : -1.0f);
  for (int d = 1; d < D; ++d)
    if (d != a) weight = weight * (((pair >> (d - 1)) & 1) ? s[d] : 1.0f - s[d]);
  return weight;
}

// d2w/ds_y ds_z, three dimensions only: +1 or -1.
N2M_HD float pair_cross(int pair) { return pair == 0 || pair == 3 ? 1.0f : -1.0f; }

// Change of a pair's weight along a tangent, axis 0 left out.
template <int D, class F>
N2M_HD F pair_tangent(const F (&s)[D], const F (&slope)[D], const F (&tangent)[D], int pair) {
  F total = pair_slope<D>(s, pair, 1) * slope[1] * tangent[1];
  for (int a = 2; a < D; ++a) total = total + pair_slope<D>(s, pair, a) * slope[a] * tangent[a];
  return total;
}

// What a gradient vector g sees of the pairs: g . diff(P), g . diff(P_a), g . lerp(P_a), g . lerp(P_yz); a = 1 .. D - 1.
template <int D, class F>
struct Seen {
  F diff, diff_along[D], lerp_along[D], lerp_cross;
};

template <int D, class F>
N2M_HD void gradient(const Seen<D, F>& seen, const F (&slope)[D], F (&out)[D]) {
  out[0] = slope[0] * seen.diff;
  for (int a = 1; a < D; ++a) out[a] = slope[a] * seen.lerp_along[a];
}

template <int D, class F>
N2M_HD void hessian_times(const Seen<D, F>& seen, const F (&slope)[D], const F (&curvature)[D], const F (&v)[D], F (&out)[D]) {
  out[0] = curvature[0] * v[0] * seen.diff;
  for (int a = 1; a < D; ++a) {
    out[0] = out[0] + slope[0] * slope[a] * v[a] * seen.diff_along[a];
    out[a] = curvature[a] * v[a] * seen.lerp_along[a] + slope[a] * slope[0] * v[0] * seen.diff_along[a];
    for (int b = 1; b < D; ++b)
      if (b != a) out[a] = out[a] + slope[a] * slope[b] * v[b] * seen.lerp_cross;
  }
}

}  // namespace n2m
