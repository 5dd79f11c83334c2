// Maths of the triangle rasterizer, shared by host and device.
//
// A vertex p in camera space (OpenGL axes) becomes q = K p = (fx X + cx z, -fy Y + cy z, z), z = -Z, so that its pixel is q.xy / q.z
// (orthographic: q.z = 1). A triangle's edge functions at pixel s = (x, y, 1) are e_i = det[s, q_j, q_k] (Olano & Greer 1997,
// "Triangle scan conversion using 2D homogeneous coordinates"): all three have the determinant's sign inside the triangle and in
// front of the camera, b_i = e_i / sum(e) are the perspective-correct barycentrics, and no clipping is ever needed.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define N2M_RASTER_FN __host__ __device__ __forceinline__
#else
#define N2M_RASTER_FN inline
#endif

namespace n2m {

struct RasterCamera {
  double rotation[9];  // rows: camera axes in world coordinates
  double position[3];
  double focal[2], principal[2];
  bool orthographic;
};

struct RasterVertex {
  double q[3];
  double depth;
};

struct RasterTriangle {
  double a[3], b[3], c[3];  // e_i = a x + b y + c, made positive inside
  bool owns_edge[3];        // the top-left rule: who gets a sample that lies exactly on edge i
};

// `camera`: camera_to_world row-major [16], focal [2], principal [2]; `scale` samples per pixel along one axis.
N2M_RASTER_FN RasterCamera make_camera(const double* camera, bool orthographic, int scale) {
  RasterCamera out;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
#pragma unroll
    for (int j = 0; j < 3; ++j) out.rotation[3 * i + j] = camera[4 * j + i];
    out.position[i] = camera[4 * i + 3];
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    out.focal[i] = camera[16 + i] * scale;
    out.principal[i] = camera[18 + i] * scale;
  }
  out.orthographic = orthographic;
  return out;
}

N2M_RASTER_FN RasterVertex project(const RasterCamera& camera, const double* p) {
  double local[3];
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    local[i] = 0.0;
#pragma unroll
    for (int j = 0; j < 3; ++j) local[i] += camera.rotation[3 * i + j] * (p[j] - camera.position[j]);
  }
  RasterVertex v;
  v.depth = -local[2];
  const double w = camera.orthographic ? 1.0 : v.depth;
  v.q[0] = camera.focal[0] * local[0] + camera.principal[0] * w;
  v.q[1] = -camera.focal[1] * local[1] + camera.principal[1] * w;
  v.q[2] = w;
  return v;
}

// Cross product of q_j and q_k, computed in an order fixed by the values: two triangles that share an edge (also where a seam has
// split its vertices) get exactly opposite functions even if the compiler fuses multiply and add. No sample is lost or hit twice.
N2M_RASTER_FN void edge_function(const double* qj, const double* qk, double* a, double* b, double* c) {
  const bool swap = qj[0] != qk[0] ? qj[0] > qk[0] : (qj[1] != qk[1] ? qj[1] > qk[1] : qj[2] > qk[2]);
  double p[3], q[3];  // values, not pointers: a device then keeps them in registers
#pragma unroll
  for (int i = 0; i < 3; ++i) p[i] = swap ? qk[i] : qj[i], q[i] = swap ? qj[i] : qk[i];
  const double sign = swap ? -1.0 : 1.0;
  *a = sign * (p[1] * q[2] - p[2] * q[1]);
  *b = sign * (p[2] * q[0] - p[0] * q[2]);
  *c = sign * (p[0] * q[1] - p[1] * q[0]);
}

// False for a triangle seen edge-on, which covers nothing, and for one whose numbers are not finite.
N2M_RASTER_FN bool setup_triangle(const RasterVertex& v0, const RasterVertex& v1, const RasterVertex& v2, RasterTriangle* out) {
  const double* q[3] = {v0.q, v1.q, v2.q};
#pragma unroll
  for (int i = 0; i < 3; ++i) edge_function(q[(i + 1) % 3], q[(i + 2) % 3], &out->a[i], &out->b[i], &out->c[i]);
  const double det = out->a[0] * q[0][0] + out->b[0] * q[0][1] + out->c[0] * q[0][2];
  if (!(det != 0.0) || !std::isfinite(det)) return false;
  const double sign = det < 0.0 ? -1.0 : 1.0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    out->a[i] *= sign;
    out->b[i] *= sign;
    out->c[i] *= sign;
    if (!std::isfinite(out->a[i]) || !std::isfinite(out->b[i]) || !std::isfinite(out->c[i])) return false;
    out->owns_edge[i] = out->a[i] > 0.0 || (out->a[i] == 0.0 && out->b[i] > 0.0);
  }
  return true;
}

N2M_RASTER_FN bool inside(const RasterTriangle& t, double x, double y, double* e) {
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    e[i] = t.a[i] * x + (t.b[i] * y + t.c[i]);
    if (e[i] < 0.0 || (e[i] == 0.0 && !t.owns_edge[i])) return false;
  }
  return e[0] + e[1] + e[2] > 0.0;
}

// Depth is measured along the viewing axis; the distance along the unit ray through sample (x, y) is `depth * ray_length`.
N2M_RASTER_FN double ray_length(const RasterCamera& camera, double x, double y) {
  if (camera.orthographic) return 1.0;
  const double dx = (x - camera.principal[0]) / camera.focal[0], dy = (y - camera.principal[1]) / camera.focal[1];
  return std::sqrt(dx * dx + dy * dy + 1.0);
}

// Place in [0, 1) of a repeating texture; an infinite or undefined coordinate counts as 0, so that no index leaves the image.
N2M_RASTER_FN float repeated(float u) {
  const float place = u - std::floor(u);
  return place >= 0.0f && place <= 1.0f ? place : 0.0f;
}

// Bilinear lookup with repeat; v points up, row 0 is the texture's top. Writes 3 channels in [0, 1].
N2M_RASTER_FN void sample_texture(const uint8_t* texture, int height, int width, int channels, float u, float v, float* rgb) {
  const float x = repeated(u) * width - 0.5f, y = (1.0f - repeated(v)) * height - 0.5f;
  const float fx = std::floor(x), fy = std::floor(y), wx = x - fx, wy = y - fy;
  const int x0 = ((int)fx + width) % width, y0 = ((int)fy + height) % height;
  const int x1 = (x0 + 1) % width, y1 = (y0 + 1) % height;
  const uint8_t* p00 = texture + ((int64_t)y0 * width + x0) * channels;
  const uint8_t* p01 = texture + ((int64_t)y0 * width + x1) * channels;
  const uint8_t* p10 = texture + ((int64_t)y1 * width + x0) * channels;
  const uint8_t* p11 = texture + ((int64_t)y1 * width + x1) * channels;
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    const float top = p00[k] + wx * (p01[k] - p00[k]), bottom = p10[k] + wx * (p11[k] - p10[k]);
    rgb[k] = (top + wy * (bottom - top)) * (1.0f / 255.0f);
  }
}

}  // namespace n2m
