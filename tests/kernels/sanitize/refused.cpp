// Calls that break the contract, one argument each: every one must be refused, with the argument's name, before any access.
#include "n2m_mesh_abi.h"
#include "support.h"

extern "C" int32_t n2m_probe_lookups(const n2m_grid* g, int64_t n, float* params, int32_t write);
extern "C" int32_t n2m_probe_copy(int64_t n, const float* from, float* to);

namespace {

constexpr float INF = std::numeric_limits<float>::infinity();
int n_refused = 0;

void refused(int32_t status, const char* name) {
  if (status == N2M_OK || strstr(n2m_last_error(), name) == nullptr) {
    fprintf(stderr, "driver: status %d, \"%s\" where %s was wrong\n", status, n2m_last_error(), name);
    exit(3);
  }
  ++n_refused;
}

// Call, with one value of the arguments replaced for its time.
template <class T, class Call>
void wrong(T& value, T bad, const char* name, const Call& call) {
  const T good = value;
  value = bad;
  refused(call(), name);
  value = good;
}

void grid_calls() {
  n2m_level levels[2] = {{3.0f, 4, 64, 0, 0}, {7.0f, 8, 128, 64, 1}};
  n2m_grid g{levels, 3, 2, 2, 2, 0, 0};
  std::vector<float> points(30, 0.5f), params(384), wide(40), narrow(30);
  const n2m_grid* grid = &g;
  const float *x = points.data(), *p = params.data(), *v = narrow.data(), *to_out = wide.data(), *to_v = wide.data();
  float *out = wide.data(), *along = wide.data(), *to_p = params.data(), *to_x = narrow.data();
  int64_t n = 10;
  auto forward = [&] { return n2m_grid_forward(grid, n, x, p, out); };
  auto jvp = [&] { return n2m_grid_jvp(grid, n, x, p, v, out, along); };
  auto backward = [&] { return n2m_grid_backward(grid, n, x, to_out, v, to_v, to_p); };
  auto input = [&] { return n2m_grid_input_grad(grid, n, x, p, to_out, v, to_v, to_x); };
  auto probe = [&] { return n2m_probe_lookups(grid, n, to_p, 1); };
  auto all = [&](auto call) {
    expect(call() == N2M_OK, "refused: a good grid call");
    wrong<const n2m_grid*>(grid, nullptr, "grid", call);
    for (int64_t bad : {int64_t{-1}, INT64_MIN, INT64_MAX}) wrong(n, bad, "n:", call);
    for (int32_t bad : {-1, 0, 1, 4, INT32_MIN, INT32_MAX}) wrong(g.n_dims, bad, "n_dims", call);
    for (int32_t bad : {-1, 0, 3, 16, INT32_MAX}) wrong(g.n_features, bad, "n_features", call);
    for (int32_t bad : {-1, 0, 33, INT32_MAX}) wrong(g.n_levels, bad, "n_levels", call);
    for (int32_t bad : {-1, 3, INT32_MAX}) wrong(g.n_active, bad, "n_active", call);
    for (int32_t bad : {-1, 2, 77}) wrong(g.half, bad, "half", call), wrong(g.smoothstep, bad, "smoothstep", call);
    wrong<const n2m_level*>(g.levels, nullptr, "levels", call);
    for (uint32_t bad : {0u, 8u, 63u}) wrong(levels[0].size, bad, "levels[0].size", call);
    for (uint32_t bad : {0u, 1u, 5u, UINT32_MAX}) wrong(levels[0].resolution, bad, "levels[0].size", call);
    for (uint32_t bad : {0u, 100u}) wrong(levels[1].size, bad, "levels[1].size", call);
    for (uint32_t bad : {0u, 63u, UINT32_MAX}) wrong(levels[1].offset, bad, "levels[1].offset", call);
    wrong(levels[1].hashed, 2u, "levels[1].hashed", call);
    for (float bad : {INF, float{NAN}}) wrong(levels[0].scale, bad, "scale", call);
  };
  all(forward), all(jvp), all(backward), all(input), all(probe);
  const float* none = nullptr;
  float* nowhere = nullptr;
  for (int k = 0; k < 2; ++k) k ? wrong(x, none, "points", forward) : wrong(x, none, "points", jvp);
  wrong(x, none, "points", backward), wrong(x, none, "points", input);
  wrong(p, none, "params", forward), wrong(p, none, "params", jvp), wrong(p, none, "params", input), wrong(to_p, nowhere, "params", probe);
  wrong(out, nowhere, "out", forward), wrong(out, nowhere, "out", jvp), wrong(along, nowhere, "out_tangent", jvp);
  wrong(v, none, "tangent", jvp), wrong(v, none, "tangent", backward), wrong(v, none, "tangent", input);
  wrong(to_v, none, "grad_tangent", backward), wrong(to_v, none, "grad_tangent", input);
  v = to_v = nullptr;
  wrong(to_out, none, "grad_out", backward), wrong(to_out, none, "grad_out", input);
  wrong(to_p, nowhere, "grad_params", backward), wrong(to_x, nowhere, "grad_points", input);
}

void march_calls() {
  n2m_march m{8, 1, 0.0f, 10.0f, 0.1f};
  const n2m_march* march = &m;
  std::vector<float> rays(6, 0.5f), t(100), dt(100);
  std::vector<uint8_t> cells(64, 255);
  std::vector<int32_t> packed(4), ray(100);
  int64_t total = 0, n = 2, words = 1;
  int64_t* n_samples = &total;
  const float *o = rays.data(), *d = rays.data();
  const uint8_t* bits = cells.data();
  int32_t *info = packed.data(), *index = ray.data();
  float *at = t.data(), *step = dt.data();
  std::vector<uint64_t> masks(2);
  auto count = [&] { return n2m_march_count(march, n, o, d, bits, nullptr, masks.data(), words, info, n_samples); };
  auto fill = [&] { return n2m_march_fill(march, n, o, d, bits, nullptr, masks.data(), words, info, at, step, index); };
  auto all = [&](auto call) {
    expect(call() == N2M_OK, "refused: a good march call");
    wrong<const n2m_march*>(march, nullptr, "march", call);
    for (int64_t bad : {int64_t{-1}, INT64_MAX}) wrong(n, bad, "n_rays", call);
    for (int32_t bad : {-8, 0, 1, 7, 1026, INT32_MAX}) wrong(m.resolution, bad, "resolution", call);
    for (int32_t bad : {-1, 0, 9, INT32_MAX}) wrong(m.n_cascades, bad, "n_cascades", call);
    for (float bad : {-1.0f, INF, float{NAN}, 11.0f}) wrong(m.near, bad, "near", call);
    for (float bad : {-1.0f, 0.0f, float{NAN}}) wrong(m.far, bad, "far", call);
    for (float bad : {-1.0f, 0.0f, INF, float{NAN}}) wrong(m.step, bad, "step", call);
    for (int64_t bad : {int64_t{-1}, int64_t{0}, INT64_MAX}) wrong(words, bad, "mask_words", call);
    wrong<const float*>(o, nullptr, "origins", call), wrong<const float*>(d, nullptr, "directions", call);
    wrong<const uint8_t*>(bits, nullptr, "bits", call), wrong<int32_t*>(info, nullptr, "packed_info", call);
  };
  all(count), all(fill);
  wrong<int64_t*>(n_samples, nullptr, "n_samples", count);
  expect(count() == N2M_OK && total > 0, "refused: a good march call");
  wrong<float*>(at, nullptr, "t:", fill), wrong<float*>(step, nullptr, "dt", fill), wrong<int32_t*>(index, nullptr, "ray_index", fill);
  for (int k = 0; k < 4; ++k) wrong(packed[k], -1, "packed_info", fill);
  wrong(packed[2], 0, "packed_info", fill);  // two rays in one place
}

void composite_calls() {
  std::vector<float> a(20, 0.5f), many(40, 0.5f), b(20), c(2), e(2), f(2), out(4), w(20), more(40);
  std::vector<int32_t> packed{0, 10, 10, 10};
  int64_t n = 2;
  int32_t k = 2;
  float stop = 0.0f;
  const float *density = a.data(), *channels = many.data(), *t = a.data(), *dt = a.data(), *none = nullptr;
  const int32_t* info = packed.data();
  float *o = out.data(), *opacity = c.data(), *depth = e.data(), *spread = f.data(), *weights = w.data(), *nowhere = nullptr;
  float *to_density = b.data(), *to_channels = more.data();
  auto forward = [&] { return n2m_composite_forward(n, k, stop, density, channels, t, dt, info, o, opacity, depth, spread, weights); };
  auto backward = [&] {
    return n2m_composite_backward(n, k, stop, density, channels, t, dt, info, opacity, depth, weights, nullptr, nullptr, nullptr, nullptr,
                                  to_density, to_channels);
  };
  auto all = [&](auto call) {
    expect(call() == N2M_OK, "refused: a good composite call");
    for (int64_t bad : {int64_t{-1}, INT64_MIN, INT64_MAX}) wrong(n, bad, "n_rays", call);
    for (int32_t bad : {-1, INT32_MIN, INT32_MAX}) wrong(k, bad, "n_channels", call);
    for (float bad : {-0.1f, 1.0f, INF, float{NAN}}) wrong(stop, bad, "stop", call);
    for (int i = 0; i < 4; ++i) wrong(packed[i], -1, "packed_info", call), wrong(packed[i], INT32_MIN, "packed_info", call);
    wrong<const int32_t*>(info, nullptr, "packed_info", call);
    wrong(channels, none, "channels", call), wrong(t, none, "t:", call), wrong(dt, none, "dt", call);
    wrong(opacity, nowhere, "opacity", call), wrong(depth, nowhere, "depth", call), wrong(weights, nowhere, "weights", call);
  };
  all(forward), all(backward);
  wrong(density, none, "density", forward), wrong(o, nowhere, "out", forward), wrong(spread, nowhere, "distortion", forward);
  wrong(to_density, nowhere, "grad_density", backward), wrong(to_channels, nowhere, "grad_channels", backward);
}

void update_calls() {
  std::vector<float> ema(16), values(3), state(12), more(12);
  std::vector<uint8_t> bits(2);
  std::vector<int64_t> cells{0, 5, 15};
  int64_t n_cells = 16, n = 3, n_values = 12;
  float decay = 0.9f, threshold = 0.5f, *e = ema.data(), *nowhere = nullptr;
  uint8_t* b = bits.data();
  const int64_t* c = cells.data();
  const float* v = values.data();
  auto occupancy = [&] { return n2m_update_occupancy(n_cells, e, b, n, c, v, decay, threshold, 1); };
  expect(occupancy() == N2M_OK, "refused: a good occupancy call");
  for (int64_t bad : {int64_t{-8}, int64_t{15}, INT64_MAX}) wrong(n_cells, bad, "n_cells", occupancy);
  for (int64_t bad : {int64_t{-1}, INT64_MAX}) wrong(n, bad, "n:", occupancy);
  for (int64_t bad : {int64_t{-1}, int64_t{16}, INT64_MIN, INT64_MAX}) wrong(cells[1], bad, "cells", occupancy);
  for (float bad : {INF, float{NAN}}) wrong(decay, bad, "decay", occupancy);
  wrong(threshold, float{NAN}, "threshold", occupancy);
  wrong(e, nowhere, "ema", occupancy), wrong<uint8_t*>(b, nullptr, "bits", occupancy);
  wrong<const int64_t*>(c, nullptr, "cells", occupancy), wrong<const float*>(v, nullptr, "values", occupancy);
  float lr = 0.1f, beta1 = 0.9f, beta2 = 0.99f, eps = 1e-8f, fade = 0.0f, bias1 = 0.1f, bias2 = 0.01f, scale = 1.0f;
  int32_t row = 4;
  float *p = state.data(), *g = more.data(), *m = state.data(), *q = state.data();
  auto adam = [&] { return n2m_adam(n_values, p, g, m, q, lr, beta1, beta2, eps, fade, bias1, bias2, scale, row, 1, 1); };
  expect(adam() == N2M_OK, "refused: a good Adam call");
  for (int64_t bad : {int64_t{-4}, INT64_MAX}) wrong(n_values, bad, "n:", adam);
  for (int32_t bad : {-1, 0, 5, INT32_MIN}) wrong(row, bad, "row_size", adam);
  for (float bad : {INF, float{NAN}}) {
    wrong(lr, bad, "lr", adam), wrong(beta1, bad, "beta1", adam), wrong(beta2, bad, "beta2", adam), wrong(eps, bad, "eps", adam);
    wrong(fade, bad, "weight_decay", adam), wrong(scale, bad, "grad_scale", adam);
  }
  for (float bad : {0.0f, -1.0f, float{NAN}}) wrong(bias1, bad, "bias1", adam), wrong(bias2, bad, "bias2", adam);
  wrong(p, nowhere, "param", adam), wrong(g, nowhere, "grad", adam), wrong(m, nowhere, "mean", adam), wrong(q, nowhere, "square", adam);
  const float* from = state.data();
  auto copy = [&] { return n2m_probe_copy(n_values, from, g); };
  wrong(n_values, int64_t{-1}, "n:", copy), wrong<const float*>(from, nullptr, "from", copy), wrong(g, nowhere, "to", copy);
}

void raster_calls() {
  std::vector<double> vertices{0, -0.5, -0.5, 0, 0.5, -0.5, 0, 0, 0.5}, camera(20);
  for (int i : {0, 5, 10, 15}) camera[i] = 1.0;
  camera[11] = 2.0, camera[16] = camera[17] = 8.0, camera[18] = camera[19] = 4.0;
  std::vector<int32_t> faces{0, 1, 2};
  std::vector<float> lights{0, 0, 1}, uv(6), opacity(64), rgb(192);
  std::vector<uint8_t> texels(12);
  n2m_raster_mesh m{vertices.data(), faces.data(), nullptr, nullptr, uv.data(), texels.data(), 3, 1, 2, 2, 3, 0.5f};
  n2m_raster_views v{camera.data(), lights.data(), 1, 8, 8, 2, 0, 0.3f, 1e-3};
  n2m_raster_images images{rgb.data(), opacity.data(), nullptr, nullptr, nullptr, nullptr, nullptr};
  const n2m_raster_mesh* mesh = &m;
  const n2m_raster_views* views = &v;
  const n2m_raster_images* out = &images;
  auto call = [&] { return n2m_rasterize(mesh, views, out); };
  expect(call() == N2M_OK, "refused: a good raster call");
  wrong<const n2m_raster_mesh*>(mesh, nullptr, "mesh", call), wrong<const n2m_raster_views*>(views, nullptr, "views", call);
  wrong<const n2m_raster_images*>(out, nullptr, "images", call);
  wrong<const double*>(m.vertices, nullptr, "vertices", call), wrong<const int32_t*>(m.faces, nullptr, "faces", call);
  wrong<const double*>(v.cameras, nullptr, "cameras", call);
  for (int64_t bad : {int64_t{-1}, INT64_MIN, INT64_MAX}) wrong(m.n_vertices, bad, "n_vertices", call), wrong(m.n_faces, bad, "n_faces", call);
  for (int64_t bad : {int64_t{0}, int64_t{2}}) wrong(m.n_vertices, bad, "faces", call);
  for (int32_t bad : {-1, 3, INT32_MIN, INT32_MAX}) wrong(faces[1], bad, "faces", call);
  for (int32_t bad : {-1, 0, INT32_MIN, INT32_MAX}) {
    wrong(v.height, bad, "height", call), wrong(v.width, bad, "width", call), wrong(v.supersample, bad, "supersample", call);
    wrong(m.texture_height, bad, "texture_height", call), wrong(m.texture_width, bad, "texture_width", call);
    wrong(m.texture_channels, bad, "texture_channels", call);
  }
  for (int32_t bad : {-1, INT32_MIN, INT32_MAX}) wrong(v.n_cameras, bad, "n_cameras", call);
  for (double& value : camera)
    for (double bad : {double{INF}, double{NAN}}) wrong(value, bad, "cameras", call);
  wrong(camera[16], 0.0, "cameras", call), wrong(lights[1], float{NAN}, "lights", call), wrong(v.ambient, INF, "ambient", call);
  for (double bad : {double{INF}, double{NAN}, -1.0}) wrong(v.near_depth, bad, "near", call);
}

void simplify_calls() {
  std::vector<double> vertices{0, 0, 0, 1, 0, 0, 0, 1, 0};
  std::vector<int32_t> faces{0, 1, 2};
  int64_t n_vertices = 3, n_faces = 1, target = 1, numbers[2], *counts = numbers;
  double* p = vertices.data();
  int32_t* f = faces.data();
  auto call = [&] { return n2m_simplify(p, n_vertices, f, n_faces, target, counts); };
  expect(call() == N2M_OK, "refused: a good simplify call");
  wrong<double*>(p, nullptr, "vertices", call), wrong<int32_t*>(f, nullptr, "faces", call), wrong<int64_t*>(counts, nullptr, "counts", call);
  for (int64_t bad : {int64_t{-1}, INT64_MAX}) {
    wrong(n_vertices, bad, "n_vertices", call), wrong(n_faces, bad, "n_faces", call), wrong(target, bad, "target_faces", call);
  }
  for (int32_t bad : {-1, 3, INT32_MAX}) wrong(faces[2], bad, "faces", call);
  for (double bad : {double{INF}, double{NAN}}) wrong(vertices[4], bad, "vertices", call);
}

}  // namespace

void refused_calls() {
  for (int n_threads : {1, 3, INT32_MIN, INT32_MAX}) {
    n2m_set_threads(n_threads);
    grid_calls(), march_calls(), composite_calls(), update_calls(), raster_calls(), simplify_calls();
  }
  expect(n2m_set_isa(nullptr) == N2M_INVALID, "refused: an instruction set without a name");
  n2m_prefer_huge_pages(nullptr, 1 << 22), n2m_prefer_huge_pages(&n_refused, -1), n2m_prefer_huge_pages(&n_refused, INT64_MAX);
  printf("refused: %d calls\n", n_refused);
}
