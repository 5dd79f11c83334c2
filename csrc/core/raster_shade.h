// What a covered sample looks like, and how the samples of a pixel become its values; host and device.
#pragma once

#include "core/raster_visible.h"
#include "n2m_mesh_abi.h"

namespace n2m {

N2M_RASTER_FN void normalize(float* n) {
  const float length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
  if (length > 0.0f)
#pragma unroll
    for (int k = 0; k < 3; ++k) n[k] /= length;
}

N2M_RASTER_FN void sample_normal(const n2m_raster_mesh& mesh, const int32_t* index, const float* b, float* n) {
  if (mesh.normals) {
#pragma unroll
    for (int k = 0; k < 3; ++k) {
      n[k] = 0.0f;
#pragma unroll
      for (int i = 0; i < 3; ++i) n[k] += b[i] * mesh.normals[3 * (int64_t)index[i] + k];
    }
  } else {
    const double *p = mesh.vertices + 3 * (int64_t)index[0], *q = mesh.vertices + 3 * (int64_t)index[1],
                 *r = mesh.vertices + 3 * (int64_t)index[2];
    double u[3], v[3];
#pragma unroll
    for (int k = 0; k < 3; ++k) u[k] = q[k] - p[k], v[k] = r[k] - p[k];
    double cross[3];
#pragma unroll
    for (int k = 0; k < 3; ++k) cross[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
    const double length = std::sqrt(cross[0] * cross[0] + cross[1] * cross[1] + cross[2] * cross[2]);
#pragma unroll
    for (int k = 0; k < 3; ++k) n[k] = length > 0.0 ? (float)(cross[k] / length) : 0.0f;
  }
  normalize(n);
}

N2M_RASTER_FN void sample_albedo(const n2m_raster_mesh& mesh, int32_t face, const int32_t* index, const float* b, float* rgb) {
  if (mesh.texture && mesh.uv) {
    const float* uv = mesh.uv + 6 * (int64_t)face;
    const float u = b[0] * uv[0] + b[1] * uv[2] + b[2] * uv[4], v = b[0] * uv[1] + b[1] * uv[3] + b[2] * uv[5];
    sample_texture(mesh.texture, mesh.texture_height, mesh.texture_width, mesh.texture_channels, u, v, rgb);
    return;
  }
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    rgb[k] = mesh.colors ? 0.0f : mesh.grey;
#pragma unroll
    for (int i = 0; mesh.colors && i < 3; ++i) rgb[k] += b[i] * mesh.colors[3 * (int64_t)index[i] + k];
  }
}

// Light counts on both sides, so that a mesh with an open side shows no black holes.
N2M_RASTER_FN float lambert(const n2m_raster_views& views, int camera, const float* n) {
  const float* l = views.lights + 3 * camera;
  return views.ambient + (1.0f - views.ambient) * std::fabs(n[0] * l[0] + n[1] * l[1] + n[2] * l[2]);
}

struct Pixel {
  float rgb[3] = {0, 0, 0}, normal[3] = {0, 0, 0}, b[3] = {0, 0, 0};
  double distance = 0.0;
  float nearest = INFINITY;
  int32_t face = -1, n_hits = 0, layers = 0;
};

N2M_RASTER_FN void add_sample(const n2m_raster_mesh& mesh, const n2m_raster_views& views, const n2m_raster_images& out,
                              const RasterCamera& camera, int camera_index, const Sample& sample, double x, double y, Pixel* pixel) {
  const int32_t* index = mesh.faces + 3 * (int64_t)sample.face;
  const float b[3] = {sample.b0, sample.b1, 1.0f - sample.b0 - sample.b1};
  ++pixel->n_hits;
  if (sample.depth < pixel->nearest) {
    pixel->nearest = sample.depth;
    pixel->face = sample.face;
#pragma unroll
    for (int k = 0; k < 3; ++k) pixel->b[k] = b[k];
  }
  if (out.depth) pixel->distance += sample.depth * ray_length(camera, x, y);
  float n[3] = {0, 0, 0};
  const bool lit = out.rgb && views.lights;
  if (out.normal || lit) sample_normal(mesh, index, b, n);
  if (out.normal)
#pragma unroll
    for (int k = 0; k < 3; ++k) pixel->normal[k] += n[k];
  if (!out.rgb) return;
  float rgb[3];
  sample_albedo(mesh, sample.face, index, b, rgb);
  const float light = lit ? lambert(views, camera_index, n) : 1.0f;
#pragma unroll
  for (int k = 0; k < 3; ++k) pixel->rgb[k] += rgb[k] * light;
}

// All but `layers`, which the device counts in place.
N2M_RASTER_FN void write_pixel(const n2m_raster_images& out, const Pixel& pixel, int64_t at, float inverse_samples) {
  if (out.opacity) out.opacity[at] = pixel.n_hits * inverse_samples;
  if (out.depth) out.depth[at] = pixel.n_hits ? (float)(pixel.distance / pixel.n_hits) : 0.0f;
  if (out.face) out.face[at] = pixel.face;
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    if (out.rgb) out.rgb[3 * at + k] = pixel.rgb[k] * inverse_samples;
    if (out.normal) out.normal[3 * at + k] = pixel.normal[k] * inverse_samples;
    if (out.barycentric) out.barycentric[3 * at + k] = pixel.b[k];
  }
}

}  // namespace n2m
