// Hash-grid geometry: which entries a point touches on one level, and with which weights. Same cells, corner order and
// indices as tiny-cuda-nn (Mueller et al. 2022, "Instant neural graphics primitives", eq. 3 and 4), so that parameter
// vectors can be exchanged.
//
// F is a float or a vector of lanes, U the unsigned of the same width. Corner c of a cell adds bit d of c to axis d.
#pragma once
#include "core/hd.h"
#include "n2m_abi.h"

namespace n2m {

constexpr uint32_t PRIMES[3] = {1u, 2654435761u, 805459861u};

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

template <int D, class U>
N2M_HD U hashed_index(const n2m_level& level, const U (&cell)[D], int corner) {
  U index = cell[0] + static_cast<uint32_t>(corner & 1);
  for (int d = 1; d < D; ++d) index ^= (cell[d] + static_cast<uint32_t>((corner >> d) & 1)) * PRIMES[d];
  return index & (level.size - 1);
}

// Before the wrap: the caller reduces it modulo the level's size.
template <int D, class U>
N2M_HD U dense_index(const n2m_level& level, const U (&cell)[D], int corner) {
  U index = cell[0] + static_cast<uint32_t>(corner & 1);
  uint32_t stride = level.resolution;
  for (int d = 1; d < D; ++d, stride *= level.resolution) index += (cell[d] + static_cast<uint32_t>((corner >> d) & 1)) * stride;
  return index;
}

// Weight of a corner: the product over the axes in order.
template <int D, class F>
N2M_HD F corner_weight(const F (&s)[D], int corner) {
  F weight = (corner & 1) ? s[0] : 1.0f - s[0];
  for (int d = 1; d < D; ++d) weight = weight * (((corner >> d) & 1) ? s[d] : 1.0f - s[d]);
  return weight;
}

// Derivative of the corner's weight along `tangent`: sum over axes of slope times the other axes' weights.
template <int D, class F>
N2M_HD F corner_tangent(const F (&s)[D], const F (&slope)[D], const F (&tangent)[D], int corner) {
  F total{};
  for (int a = 0; a < D; ++a) {
    F term = slope[a] * tangent[a];
    for (int d = 0; d < D; ++d)
      if (d != a) term = term * (((corner >> d) & 1) ? s[d] : 1.0f - s[d]);
    total = ((corner >> a) & 1) ? total + term : total - term;
  }
  return total;
}

// d/dx_a of sum_c weight_c value_c.
template <int D, class F>
N2M_HD F gradient_along(const F (&s)[D], const F (&slope)[D], const F (&value)[1 << D], int a) {
  F total{};
  for (int c = 0; c < (1 << D); ++c) {
    if ((c >> a) & 1) continue;
    F term = value[c | (1 << a)] - value[c];
    for (int d = 0; d < D; ++d)
      if (d != a) term = term * (((c >> d) & 1) ? s[d] : 1.0f - s[d]);
    total = total + term;
  }
  return total * slope[a];
}

// d/dx_a of sum_c corner_tangent_c value_c: row a of the Hessian times the tangent. The diagonal lives by smoothstep only.
template <int D, class F>
N2M_HD F hessian_along(const F (&s)[D], const F (&slope)[D], const F (&curvature)[D], const F (&tangent)[D],
                       const F (&value)[1 << D], int a) {
  F bent[D];
  for (int d = 0; d < D; ++d) bent[d] = d == a ? curvature[d] : slope[d];
  F total = gradient_along<D>(s, bent, value, a) * tangent[a];
  for (int b = 0; b < D; ++b) {
    if (b == a) continue;
    F mixed{};
    for (int c = 0; c < (1 << D); ++c) {
      if (((c >> a) & 1) || ((c >> b) & 1)) continue;
      const int ca = c | (1 << a), cb = c | (1 << b);
      F term = (value[ca | cb] - value[cb]) - (value[ca] - value[c]);
      for (int d = 0; d < D; ++d)
        if (d != a && d != b) term = term * (((c >> d) & 1) ? s[d] : 1.0f - s[d]);
      mixed = mixed + term;
    }
    total = total + mixed * slope[a] * slope[b] * tangent[b];
  }
  return total;
}

}  // namespace n2m
