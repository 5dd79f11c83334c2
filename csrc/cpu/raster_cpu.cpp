// Triangle rasterizer for the CPU. Work is cut into bands of rows of one camera; each band has its own depth buffer and walks all
// faces in order, so the result does not depend on the number of threads.
#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <vector>

#include "core/check_raster.h"
#include "core/raster_shade.h"
#include "cpu/parallel.h"

namespace n2m {
namespace {

constexpr int64_t kMaxBandSamples = 1 << 20;

struct Band {
  int camera, first_row, n_rows;  // in pixels
};

struct Buffers {
  std::vector<RasterVertex> vertices;
  std::vector<Sample> samples;
  std::vector<int32_t> layers;
};

void fill_triangle(const RasterTriangle& t, const RasterVertex* const v[3], const Box& box, int32_t face, double near_depth, int width,
                   int first, Buffers* buffers) {
  for (int y = box.y0; y <= box.y1; ++y) {
    int x0 = box.x0, x1 = box.x1;
    if (x1 - x0 > kSpanWidth) row_span(t, y + 0.5, &x0, &x1);
    const int64_t row = (int64_t)(y - first) * width;
    for (int x = x0; x <= x1; ++x) {
      Sample found;
      if (!hit_sample(t, v[0]->depth, v[1]->depth, v[2]->depth, near_depth, x + 0.5, y + 0.5, &found)) continue;
      if (!buffers->layers.empty()) ++buffers->layers[row + x];
      Sample& sample = buffers->samples[row + x];
      if (found.depth < sample.depth) sample = {found.depth, face, found.b0, found.b1};
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
    if (!sample_box(*v[0], *v[1], *v[2], views.near_depth, width, first, last, &box)) continue;
    if (!setup_triangle(*v[0], *v[1], *v[2], &triangle)) continue;
    fill_triangle(triangle, v, box, (int32_t)f, views.near_depth, width, first, buffers);
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
      const int64_t place = ((int64_t)band.camera * views.height + y) * views.width + column;
      write_pixel(out, pixel, place, inverse_samples);
      if (out.layers) out.layers[place] = pixel.layers;
    }
  }
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
  if (!check_given(*mesh, *views) || !check_cameras(*views)) return N2M_INVALID;
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
