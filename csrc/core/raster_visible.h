// Which samples a triangle covers, and which triangle a sample sees: one truth for the CPU's bands and the device's keys.
#pragma once

#include <cstring>

#include "core/raster.h"

namespace n2m {

constexpr int kSpanWidth = 8;  // below this the division for a tighter span costs more than it saves

// As std::min and std::max choose where a number is NaN.
N2M_RASTER_FN double lesser(double a, double b) { return b < a ? b : a; }
N2M_RASTER_FN double greater(double a, double b) { return a < b ? b : a; }

struct Sample {
  float depth;
  int32_t face;
  float b0, b1;
};

struct Box {
  int x0, x1, y0, y1;  // samples, ends included
};

// Cuts [first, last] to the samples of [low, high], or to nothing. Clamped before they are integers: a place may be anywhere.
N2M_RASTER_FN void narrow(double low, double high, int* first, int* last) {
  const double begin = *first, end = *last;
  *first = (int)lesser(greater(begin, std::floor(low - 0.5)), end + 1.0);
  *last = (int)greater(lesser(end, std::ceil(high - 0.5)), begin - 1.0);
}

// The samples a triangle can touch in rows first to last; a triangle that crosses the camera's plane may reach everywhere.
N2M_RASTER_FN bool sample_box(const RasterVertex& v0, const RasterVertex& v1, const RasterVertex& v2, double near_depth, int width,
                              int first, int last, Box* box) {
  const RasterVertex* const v[3] = {&v0, &v1, &v2};
  int n_front = 0;
#pragma unroll
  for (int i = 0; i < 3; ++i) n_front += v[i]->depth > near_depth;
  *box = {0, width - 1, first, last};
  if (n_front == 0) return false;
  if (n_front == 3) {
    double lo[2], hi[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      lo[k] = hi[k] = v[0]->q[k] / v[0]->q[2];
#pragma unroll
      for (int i = 1; i < 3; ++i) {
        const double p = v[i]->q[k] / v[i]->q[2];
        lo[k] = lesser(lo[k], p);
        hi[k] = greater(hi[k], p);
      }
    }
#pragma unroll
    for (int k = 0; k < 2; ++k)
      if (!std::isfinite(lo[k]) || !std::isfinite(hi[k])) return false;
    narrow(lo[0], hi[0], &box->x0, &box->x1);
    narrow(lo[1], hi[1], &box->y0, &box->y1);
  }
  return box->x0 <= box->x1 && box->y0 <= box->y1;
}

// Cuts [x0, x1] to what the triangle can cover of the row at y.
N2M_RASTER_FN void row_span(const RasterTriangle& t, double y, int* x0, int* x1) {
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const double rest = t.b[i] * y + t.c[i];
    if (t.a[i] > 0.0) {
      *x0 = (int)greater((double)*x0, lesser(std::floor(-rest / t.a[i] - 0.5) - 1.0, (double)*x1 + 1.0));
    } else if (t.a[i] < 0.0) {
      *x1 = (int)lesser((double)*x1, greater(std::ceil(-rest / t.a[i] - 0.5) + 1.0, (double)*x0 - 1.0));
    }
  }
}

// Whether sample (x, y) is covered in front of the near plane, by a triangle with depths d0, d1, d2 at its vertices; then `sample` has its depth and barycentrics, but no face.
N2M_RASTER_FN bool hit_sample(const RasterTriangle& t, double d0, double d1, double d2, double near_depth, double x, double y,
                              Sample* sample) {
  double e[3];
  if (!inside(t, x, y, e)) return false;
  const double scale = 1.0 / (e[0] + e[1] + e[2]);
  const double b0 = e[0] * scale, b1 = e[1] * scale;
  const double depth = b0 * d0 + b1 * d1 + (1.0 - b0 - b1) * d2;
  if (!(depth > near_depth && std::isfinite(depth))) return false;
  sample->depth = (float)depth;
  sample->b0 = (float)b0;
  sample->b1 = (float)b1;
  return true;
}

// The nearest sample has the smallest key; of equal depths the first face's, as faces drawn in order leave it.
constexpr uint64_t kNothing = ~uint64_t{0};

N2M_RASTER_FN uint64_t visibility_key(float depth, int32_t face) {
  depth += 0.0f;  // -0 becomes 0
  uint32_t bits;
  memcpy(&bits, &depth, sizeof bits);
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return uint64_t{bits} << 32 | (uint32_t)face;
}

N2M_RASTER_FN int32_t face_of(uint64_t key) { return key == kNothing ? -1 : (int32_t)(uint32_t)key; }

}  // namespace n2m
