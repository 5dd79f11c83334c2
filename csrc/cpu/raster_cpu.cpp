// Triangle rasterizer for the CPU. Work is cut into bands of rows of one camera; each band has its own depth buffer and walks all
// faces in order, so the result does not depend on the number of threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/raster.h"
#include "cpu/parallel.h"
#include "n2m_mesh_abi.h"

namespace n2m {
namespace {

constexpr int64_t kMaxBandSamples = 1 << 20;
constexpr int64_t kMaxSide = 1 << 17;  // samples; a band of one row of pixels then takes 128 MB at most
constexpr int kSpanWidth = 8;  // below this the division for a tighter span costs more than it saves

struct Sample {
  float depth;
  int32_t face;
  float b0, b1;
};

struct Band {
  int camera, first_row, n_rows;  // in pixels
};

struct Buffers {
  std::vector<RasterVertex> vertices;
  std::vector<Sample> samples;
  std::vector<int32_t> layers;
};

struct Box {
  int x0, x1, y0, y1;  // samples, ends included
};

// Cuts [first, last] to the samples of [low, high], or to nothing. Clamped before they are integers: a place may be anywhere.
void narrow(double low, double high, int* first, int* last) {
  const double begin = *first, end = *last;
  *first = (int)std::min(std::max(begin, std::floor(low - 0.5)), end + 1.0);
  *last = (int)std::max(std::min(end, std::ceil(high - 0.5)), begin - 1.0);
}

// The samples a triangle can touch; a triangle that crosses the camera's plane may reach everywhere.
bool sample_box(const RasterVertex* const v[3], double near_depth, int width, int first, int last, Box* box) {
  int n_front = 0;
  for (int i = 0; i < 3; ++i) n_front += v[i]->depth > near_depth;
  *box = {0, width - 1, first, last};
  if (n_front == 0) return false;
  if (n_front == 3) {
    double lo[2], hi[2];
    for (int k = 0; k < 2; ++k) {
      lo[k] = hi[k] = v[0]->q[k] / v[0]->q[2];
      for (int i = 1; i < 3; ++i) {
        const double p = v[i]->q[k] / v[i]->q[2];
        lo[k] = std::min(lo[k], p);
        hi[k] = std::max(hi[k], p);
      }
    }
    for (int k = 0; k < 2; ++k)
      if (!std::isfinite(lo[k]) || !std::isfinite(hi[k])) return false;
    narrow(lo[0], hi[0], &box->x0, &box->x1);
    narrow(lo[1], hi[1], &box->y0, &box->y1);
  }
  return box->x0 <= box->x1 && box->y0 <= box->y1;
}

void row_span(const RasterTriangle& t, double y, int* x0, int* x1) {
  for (int i = 0; i < 3; ++i) {
    const double rest = t.b[i] * y + t.c[i];
    if (t.a[i] > 0.0) {
      *x0 = (int)std::max((double)*x0, std::min(std::floor(-rest / t.a[i] - 0.5) - 1.0, (double)*x1 + 1.0));
    } else if (t.a[i] < 0.0) {
      *x1 = (int)std::min((double)*x1, std::max(std::ceil(-rest / t.a[i] - 0.5) + 1.0, (double)*x0 - 1.0));
    }
  }
}

void fill_triangle(const RasterTriangle& t, const RasterVertex* const v[3], const Box& box, int32_t face, double near_depth, int width,
                   int first, Buffers* buffers) {
  for (int y = box.y0; y <= box.y1; ++y) {
    int x0 = box.x0, x1 = box.x1;
    if (x1 - x0 > kSpanWidth) row_span(t, y + 0.5, &x0, &x1);
    const int64_t row = (int64_t)(y - first) * width;
    for (int x = x0; x <= x1; ++x) {
      double e[3];
      if (!inside(t, x + 0.5, y + 0.5, e)) continue;
      const double scale = 1.0 / (e[0] + e[1] + e[2]);
      const double b0 = e[0] * scale, b1 = e[1] * scale;
      const double depth = b0 * v[0]->depth + b1 * v[1]->depth + (1.0 - b0 - b1) * v[2]->depth;
      if (!(depth > near_depth && std::isfinite(depth))) continue;
      if (!buffers->layers.empty()) ++buffers->layers[row + x];
      Sample& sample = buffers->samples[row + x];
      if ((float)depth < sample.depth) sample = {(float)depth, face, (float)b0, (float)b1};
    }
  }
}

void draw_band(const n2m_raster_mesh& mesh, const n2m_raster_views& views, const RasterCamera& camera, const Band& band,
               bool count_layers, Buffers* buffers) {
  const int scale = views.supersample, width = views.width * scale;
  const int first = band.first_row * scale, last = first + band.n_rows * scale - 1;
  const size_t n_samples = (size_t)width * band.n_rows * scale;
  buffers->samples.assign(n_samples, {std::numeric_limits<float>::infinity(), -1, 0.0f, 0.0f});
  buffers->layers.assign(count_layers ? n_samples : 0, 0);
  buffers->vertices.resize(mesh.n_vertices);
  for (int64_t i = 0; i < mesh.n_vertices; ++i) buffers->vertices[i] = project(camera, mesh.vertices + 3 * i);
  for (int64_t f = 0; f < mesh.n_faces; ++f) {
    const int32_t* index = mesh.faces + 3 * f;
    const RasterVertex* v[3];
    for (int k = 0; k < 3; ++k) v[k] = &buffers->vertices[index[k]];
    Box box;
    RasterTriangle triangle;
    if (!sample_box(v, views.near_depth, width, first, last, &box)) continue;
    if (!setup_triangle(*v[0], *v[1], *v[2], &triangle)) continue;
    fill_triangle(triangle, v, box, (int32_t)f, views.near_depth, width, first, buffers);
  }
}

void normalize(float* n) {
  const float length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
  if (length > 0.0f)
    for (int k = 0; k < 3; ++k) n[k] /= length;
}

void sample_normal(const n2m_raster_mesh& mesh, const int32_t* index, const float* b, float* n) {
  if (mesh.normals) {
    for (int k = 0; k < 3; ++k) {
      n[k] = 0.0f;
      for (int i = 0; i < 3; ++i) n[k] += b[i] * mesh.normals[3 * (int64_t)index[i] + k];
    }
  } else {
    const double *p = mesh.vertices + 3 * (int64_t)index[0], *q = mesh.vertices + 3 * (int64_t)index[1],
                 *r = mesh.vertices + 3 * (int64_t)index[2];
    double u[3], v[3];
    for (int k = 0; k < 3; ++k) u[k] = q[k] - p[k], v[k] = r[k] - p[k];
    double cross[3];
    for (int k = 0; k < 3; ++k) cross[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
    const double length = std::sqrt(cross[0] * cross[0] + cross[1] * cross[1] + cross[2] * cross[2]);
    for (int k = 0; k < 3; ++k) n[k] = length > 0.0 ? (float)(cross[k] / length) : 0.0f;
  }
  normalize(n);
}

void sample_albedo(const n2m_raster_mesh& mesh, int32_t face, const int32_t* index, const float* b, float* rgb) {
  if (mesh.texture && mesh.uv) {
    const float* uv = mesh.uv + 6 * (int64_t)face;
    const float u = b[0] * uv[0] + b[1] * uv[2] + b[2] * uv[4], v = b[0] * uv[1] + b[1] * uv[3] + b[2] * uv[5];
    sample_texture(mesh.texture, mesh.texture_height, mesh.texture_width, mesh.texture_channels, u, v, rgb);
    return;
  }
  for (int k = 0; k < 3; ++k) {
    rgb[k] = mesh.colors ? 0.0f : mesh.grey;
    for (int i = 0; mesh.colors && i < 3; ++i) rgb[k] += b[i] * mesh.colors[3 * (int64_t)index[i] + k];
  }
}

// Light counts on both sides, so that a mesh with an open side shows no black holes.
float lambert(const n2m_raster_views& views, int camera, const float* n) {
  const float* l = views.lights + 3 * camera;
  return views.ambient + (1.0f - views.ambient) * std::fabs(n[0] * l[0] + n[1] * l[1] + n[2] * l[2]);
}

struct Pixel {
  float rgb[3] = {0, 0, 0}, normal[3] = {0, 0, 0}, b[3] = {0, 0, 0};
  double distance = 0.0;
  float nearest = std::numeric_limits<float>::infinity();
  int32_t face = -1, n_hits = 0, layers = 0;
};

void add_sample(const n2m_raster_mesh& mesh, const n2m_raster_views& views, const n2m_raster_images& out, const RasterCamera& camera,
                int camera_index, const Sample& sample, double x, double y, Pixel* pixel) {
  const int32_t* index = mesh.faces + 3 * (int64_t)sample.face;
  const float b[3] = {sample.b0, sample.b1, 1.0f - sample.b0 - sample.b1};
  ++pixel->n_hits;
  if (sample.depth < pixel->nearest) {
    pixel->nearest = sample.depth;
    pixel->face = sample.face;
    std::memcpy(pixel->b, b, sizeof(b));
  }
  if (out.depth) pixel->distance += sample.depth * ray_length(camera, x, y);
  float n[3];
  const bool lit = out.rgb && views.lights;
  if (out.normal || lit) sample_normal(mesh, index, b, n);
  if (out.normal)
    for (int k = 0; k < 3; ++k) pixel->normal[k] += n[k];
  if (!out.rgb) return;
  float rgb[3];
  sample_albedo(mesh, sample.face, index, b, rgb);
  const float light = lit ? lambert(views, camera_index, n) : 1.0f;
  for (int k = 0; k < 3; ++k) pixel->rgb[k] += rgb[k] * light;
}

void write_pixel(const n2m_raster_images& out, const Pixel& pixel, int64_t at, float inverse_samples) {
  if (out.opacity) out.opacity[at] = pixel.n_hits * inverse_samples;
  if (out.depth) out.depth[at] = pixel.n_hits ? (float)(pixel.distance / pixel.n_hits) : 0.0f;
  if (out.face) out.face[at] = pixel.face;
  if (out.layers) out.layers[at] = pixel.layers;
  for (int k = 0; k < 3; ++k) {
    if (out.rgb) out.rgb[3 * at + k] = pixel.rgb[k] * inverse_samples;
    if (out.normal) out.normal[3 * at + k] = pixel.normal[k] * inverse_samples;
    if (out.barycentric) out.barycentric[3 * at + k] = pixel.b[k];
  }
}

void resolve_band(const n2m_raster_mesh& mesh, const n2m_raster_views& views, const n2m_raster_images& out, const RasterCamera& camera,
                  const Band& band, const Buffers& buffers) {
  const int scale = views.supersample, width = views.width * scale;
  const float inverse_samples = 1.0f / (scale * scale);
  for (int row = 0; row < band.n_rows; ++row) {
    for (int column = 0; column < views.width; ++column) {
      Pixel pixel;
      for (int k = 0; k < scale * scale; ++k) {
        const int sy = row * scale + k / scale, sx = column * scale + k % scale;
        const int64_t at = (int64_t)sy * width + sx;
        if (out.layers) pixel.layers += buffers.layers[at];
        if (buffers.samples[at].face < 0) continue;
        add_sample(mesh, views, out, camera, band.camera, buffers.samples[at], sx + 0.5, band.first_row * scale + sy + 0.5, &pixel);
      }
      const int64_t y = band.first_row + row;
      write_pixel(out, pixel, ((int64_t)band.camera * views.height + y) * views.width + column, inverse_samples);
    }
  }
}

bool check_sizes(const n2m_raster_mesh& mesh, const n2m_raster_views& views) {
  const int64_t scale = views.supersample;
  return check_count("n_vertices", mesh.n_vertices, 0, INT32_MAX) && check_count("n_faces", mesh.n_faces, 0, INT32_MAX / 3) &&
         check_count("n_cameras", views.n_cameras, 0, 1 << 20) && check_count("supersample", scale, 1, 64) &&
         check_count("height", views.height, 1, kMaxSide / scale) && check_count("width", views.width, 1, kMaxSide / scale) &&
         (!mesh.texture || (check_count("texture_height", mesh.texture_height, 1, 1 << 20) &&
                            check_count("texture_width", mesh.texture_width, 1, 1 << 20) &&
                            check_count("texture_channels", mesh.texture_channels, 3, 4)));
}

bool check_values(const n2m_raster_mesh& mesh, const n2m_raster_views& views) {
  const bool any = views.n_cameras > 0;
  if (!check_pointer("vertices", mesh.vertices, mesh.n_vertices > 0) || !check_pointer("faces", mesh.faces, mesh.n_faces > 0)) return false;
  if (!check_pointer("cameras", views.cameras, any) || !check_all_finite("cameras", views.cameras, 20 * int64_t{views.n_cameras}))
    return false;
  for (int64_t i = 0; i < views.n_cameras; ++i)
    for (int k = 16; k < 18; ++k)
      if (views.cameras[20 * i + k] == 0.0)
        return refuse("cameras: expected focal lengths other than 0, got 0 of camera %lld", static_cast<long long>(i));
  if (views.lights && !check_all_finite("lights", views.lights, 3 * int64_t{views.n_cameras})) return false;
  if (!check_finite("ambient", views.ambient) || !check_finite("near", views.near_depth)) return false;
  return views.orthographic || check_range("near", views.near_depth, 0.0, 1e300);
}

std::vector<Band> cut_bands(const n2m_raster_views& views, int n_threads) {
  const int64_t row_samples = (int64_t)views.width * views.supersample * views.supersample;
  int rows = (int)std::max<int64_t>(1, kMaxBandSamples / row_samples);
  const int bands_wanted = std::max(1, (2 * n_threads + views.n_cameras - 1) / views.n_cameras);
  if (n_threads > 1) rows = std::min(rows, (views.height + bands_wanted - 1) / bands_wanted);
  std::vector<Band> bands;
  for (int camera = 0; camera < views.n_cameras; ++camera)
    for (int row = 0; row < views.height; row += rows) bands.push_back({camera, row, std::min(rows, views.height - row)});
  return bands;
}

}  // namespace
}  // namespace n2m

extern "C" int32_t n2m_rasterize(const n2m_raster_mesh* mesh, const n2m_raster_views* views, const n2m_raster_images* images) {
  using namespace n2m;
  if (!check_pointer("mesh", mesh) || !check_pointer("views", views) || !check_pointer("images", images)) return N2M_INVALID;
  if (!check_sizes(*mesh, *views)) return 2;
  if (!check_values(*mesh, *views)) return N2M_INVALID;
  if (!check_indices("faces", mesh->faces, 3 * mesh->n_faces, mesh->n_vertices)) return 1;
  if (views->n_cameras == 0) return 0;
  std::atomic<bool> failed{false};
  try {
    const std::vector<Band> bands = cut_bands(*views, thread_count());
    parallel_tasks((int64_t)bands.size(), [&](int64_t i) {
      try {
        Buffers buffers;
        const RasterCamera camera = make_camera(views->cameras + 20 * bands[i].camera, views->orthographic != 0, views->supersample);
        draw_band(*mesh, *views, camera, bands[i], images->layers != nullptr, &buffers);
        resolve_band(*mesh, *views, *images, camera, bands[i], buffers);
      } catch (const std::exception&) {
        failed = true;  // an exception must not cross the pool
      }
    });
  } catch (const std::exception&) {
    failed = true;
  }
  return failed ? 3 : 0;
}
