// Triangle rasterizer on the device, in two passes: every sample keeps the smallest key of depth and face that covers it, then
// every pixel shades its samples in the CPU's order.
//
// A minimum does not depend on the order of the threads, so that the result never changes from run to run. This file is compiled
// without fused multiply-add (build.py), as the CPU's is on x86-64: both then compute the same bits.
#include "core/check_raster.h"
#include "core/raster_shade.h"
#include "cuda/launch.cuh"

namespace n2m {
namespace {

constexpr int64_t ALONE = 32;             // samples of a box that one thread walks; larger ones take a warp
constexpr int TILE_WIDTH = 8, TILE_HEIGHT = 4;  // of a warp
constexpr int64_t ENOUGH = 1 << 17;       // threads; with fewer faces the pictures are cut into bands of rows
constexpr int LEAST_ROWS = 32;

struct RasterArgs {
  n2m_raster_mesh mesh;
  n2m_raster_views views;
  n2m_raster_images out;
  unsigned long long* visibility;  // [n_cameras, height, width] of samples
  unsigned face_blocks;            // of one band
  int n_bands, band_rows;          // in samples
};

struct View {
  RasterCamera camera;
  int index, width, height;  // in samples
  __device__ View(const RasterArgs& a, int index)
      : camera(make_camera(a.views.cameras + 20 * index, a.views.orthographic != 0, a.views.supersample)),
        index(index), width(a.views.width * a.views.supersample), height(a.views.height * a.views.supersample) {}
  __device__ int64_t place(int x, int y) const { return (static_cast<int64_t>(index) * height + y) * width + x; }
};

// A face before a camera.
struct Face {
  RasterVertex v[3];
  RasterTriangle triangle;
  __device__ Face(const RasterArgs& a, const View& view, int64_t f) {
#pragma unroll
    for (int k = 0; k < 3; ++k) v[k] = project(view.camera, a.mesh.vertices + 3 * static_cast<int64_t>(a.mesh.faces[3 * f + k]));
  }
  __device__ bool box(const RasterArgs& a, const View& view, int first, int last, Box* box) const {
    return sample_box(v[0], v[1], v[2], a.views.near_depth, view.width, first, last, box);
  }
  __device__ bool hit(const RasterArgs& a, int x, int y, Sample* sample) const {
    return hit_sample(triangle, v[0].depth, v[1].depth, v[2].depth, a.views.near_depth, x + 0.5, y + 0.5, sample);
  }
  __device__ bool setup() { return setup_triangle(v[0], v[1], v[2], &triangle); }
};

// Thread (x, y) of a tile of width x height threads walks its share of the box.
__device__ __forceinline__ void fill(const RasterArgs& a, const View& view, const Face& face, int32_t f, const Box& box, int x, int y, int width, int height) {
  for (int row = box.y0 + y; row <= box.y1; row += height) {
    int x0 = box.x0, x1 = box.x1;
    if (x1 - x0 > kSpanWidth) row_span(face.triangle, row + 0.5, &x0, &x1);
    for (int column = x0 + x; column <= x1; column += width) {
      Sample found;
      if (!face.hit(a, column, row, &found)) continue;
      if (a.out.layers) {
        const int s = a.views.supersample;
        atomicAdd(a.out.layers + (static_cast<int64_t>(view.index) * a.views.height + row / s) * a.views.width + column / s, 1);
      }
      if (found.depth < INFINITY) atomicMin(a.visibility + view.place(column, row), visibility_key(found.depth, f));
    }
  }
}

__global__ void __launch_bounds__(THREADS) cover(const __grid_constant__ RasterArgs a) {
  const int slice = static_cast<int>(blockIdx.x / a.face_blocks), band = slice % a.n_bands;
  const int64_t f = static_cast<int64_t>(blockIdx.x % a.face_blocks) * THREADS + threadIdx.x;
  const View view(a, slice / a.n_bands);
  const int first = band * a.band_rows, last = (first + a.band_rows < view.height ? first + a.band_rows : view.height) - 1;
  const int lane = threadIdx.x % WARP;
  bool large = false;
  if (f < a.mesh.n_faces) {
    Face face(a, view, f);
    Box box;
    if (face.box(a, view, first, last, &box)) {
      large = static_cast<int64_t>(box.x1 - box.x0 + 1) * (box.y1 - box.y0 + 1) > ALONE;
      if (!large && face.setup()) fill(a, view, face, static_cast<int32_t>(f), box, 0, 0, 1, 1);
    }
  }
  for (unsigned left = __ballot_sync(ALL_LANES, large); left; left &= left - 1u) {
    const int64_t together = f - lane + __ffs(static_cast<int>(left)) - 1;
    Face face(a, view, together);
    Box box;
    if (face.box(a, view, first, last, &box) && face.setup())
      fill(a, view, face, static_cast<int32_t>(together), box, lane % TILE_WIDTH, lane / TILE_WIDTH, TILE_WIDTH, TILE_HEIGHT);
  }
}

__global__ void __launch_bounds__(THREADS) resolve(const __grid_constant__ RasterArgs a) {
  const int64_t at = global_index(), per_view = static_cast<int64_t>(a.views.height) * a.views.width;
  if (at >= per_view * a.views.n_cameras) return;
  const View view(a, static_cast<int>(at / per_view));
  const int row = static_cast<int>(at % per_view / a.views.width), column = static_cast<int>(at % a.views.width);
  const int scale = a.views.supersample;
  Pixel pixel;
  for (int k = 0; k < scale * scale; ++k) {
    const int y = row * scale + k / scale, x = column * scale + k % scale;
    const int32_t f = face_of(a.visibility[view.place(x, y)]);
    if (f < 0) continue;
    Face face(a, view, f);
    Sample sample;
    if (!face.setup() || !face.hit(a, x, y, &sample)) continue;
    sample.face = f;
    add_sample(a.mesh, a.views, a.out, view.camera, view.index, sample, x + 0.5, y + 0.5, &pixel);
  }
  write_pixel(a.out, pixel, at, 1.0f / (scale * scale));
}

// Few faces have the rows of their pictures shared out, until there are threads enough.
void cut_into_bands(RasterArgs* a) {
  const int64_t rows = int64_t{a->views.height} * a->views.supersample;
  const int64_t threads = int64_t{a->face_blocks} * THREADS * a->views.n_cameras;
  int64_t bands = ENOUGH / threads;
  if (bands > (rows + LEAST_ROWS - 1) / LEAST_ROWS) bands = (rows + LEAST_ROWS - 1) / LEAST_ROWS;
  if (bands < 1) bands = 1;
  a->band_rows = static_cast<int>((rows + bands - 1) / bands);
  a->n_bands = static_cast<int>((rows + a->band_rows - 1) / a->band_rows);
}

}  // namespace
}  // namespace n2m

extern "C" N2M_API int32_t n2m_rasterize_cuda(const n2m_raster_mesh* mesh, const n2m_raster_views* views, const n2m_raster_images* images,
                                              uint64_t* visibility, void* stream) {
  using namespace n2m;
  if (!check_pointers({{"mesh", mesh, true}, {"views", views, true}, {"images", images, true}})) return N2M_INVALID;
  if (!check_sizes(*mesh, *views) || !check_given(*mesh, *views)) return N2M_INVALID;
  if (views->n_cameras == 0) return N2M_OK;
  if (!check_pointer("visibility", visibility)) return N2M_INVALID;
  RasterArgs a{*mesh, *views, *images, reinterpret_cast<unsigned long long*>(visibility), blocks_for(mesh->n_faces), 1, 1};
  const int64_t pixels = int64_t{views->n_cameras} * views->height * views->width, samples = pixels * views->supersample * views->supersample;
  if (!check_count("images: pixels", pixels, 1, INT64_C(1) << 38)) return N2M_INVALID;
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  cudaMemsetAsync(visibility, 0xff, 8 * static_cast<size_t>(samples), on);  // kNothing
  if (images->layers) cudaMemsetAsync(images->layers, 0, 4 * static_cast<size_t>(pixels), on);
  if (mesh->n_faces > 0) {
    cut_into_bands(&a);
    const int64_t blocks = int64_t{a.face_blocks} * a.n_bands * views->n_cameras;
    if (!check_count("faces times cameras: blocks", blocks, 1, INT32_MAX)) return N2M_INVALID;
    cover<<<static_cast<unsigned>(blocks), THREADS, 0, on>>>(a);
  }
  resolve<<<blocks_for(pixels), THREADS, 0, on>>>(a);
  return launch_status();
}
