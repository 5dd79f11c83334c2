// Random calls of the kernels' C ABI: grid, marching, compositing, occupancy, Adam, probes.
#include "support.h"

namespace {

struct Layout {
  std::vector<n2m_level> levels;
  n2m_grid grid;
  int64_t n_params = 0, n_outputs;
};

Layout random_layout(Random& random) {
  Layout made;
  const int n_dims = random.one_of({2, 3}), n_features = random.one_of({1, 2, 4, 8}), base = 2 + static_cast<int>(random.below(19));
  const int n_levels = 1 + static_cast<int>(random.below(5)), log2_size = 3 + static_cast<int>(random.below(8));
  const float log2_growth = log2f(random.uniform(1.0f, 2.5f));
  uint32_t offset = 0;
  for (int l = 0; l < n_levels; ++l) {
    const float scale = exp2f(static_cast<float>(l) * log2_growth) * static_cast<float>(base) - 1.0f;
    const uint32_t resolution = static_cast<uint32_t>(ceilf(scale)) + 1, cap = 1u << log2_size;
    const uint64_t dense = n_dims == 2 ? uint64_t{resolution} * resolution : uint64_t{resolution} * resolution * resolution;
    const uint32_t size = dense > cap ? cap : static_cast<uint32_t>((dense + 7) / 8 * 8 < cap ? (dense + 7) / 8 * 8 : cap);
    made.levels.push_back({scale, resolution, size, offset, dense > cap});
    offset += size;
  }
  const int n_active = static_cast<int>(random.below(n_levels + 1));
  made.grid = {made.levels.data(), n_dims, n_levels, n_features, n_active, random.chance(0.5), 0};
  made.n_params = int64_t{offset} * n_features, made.n_outputs = int64_t{n_levels} * n_features;
  return made;
}

int64_t random_count(Random& random) { return random.one_of<int64_t>({0, 1, 15, 16, 17, 31, 256, 257, 300 + random.below(900)}); }

}  // namespace

void grid_case(Random& random, bool large) {
  Layout layout = random_layout(random);
  n2m_grid& g = layout.grid;
  const int64_t n = large ? 131072 + random.below(999) : random_count(random);
  const double wild = random.one_of({0.0, 0.05, 0.5});
  Array<float> points = floats(n * g.n_dims, random, 0.0f, 1.0f, wild), tangent = floats(n * g.n_dims, random);
  Array<float> params = floats(layout.n_params, random), to_out = floats(n * layout.n_outputs, random);
  Array<float> to_tangent = floats(n * layout.n_outputs, random);
  Array<uint16_t> halves(layout.n_params, random);
  for (int64_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(random.next());
  const bool with_out = random.chance(0.8), with_tangent = !with_out || random.chance(0.5);
  g.half = random.chance(0.4);
  const void* const table = g.half ? static_cast<const void*>(halves.data()) : params.data();
  same_for_any_threads("grid: other bits with other threads", [&] {
    Random twin = random;
    Array<float> out(n * layout.n_outputs, twin), plain(n * layout.n_outputs, twin), along(n * layout.n_outputs, twin);
    Array<float> to_params(layout.n_params, twin), to_points(n * g.n_dims, twin);
    bool ok = n2m_grid_forward(&g, n, points.data(), table, plain.data()) == N2M_OK;
    ok &= n2m_grid_jvp(&g, n, points.data(), table, tangent.data(), out.data(), along.data()) == N2M_OK;
    const float *a = with_out ? to_out.data() : nullptr, *b = with_tangent ? to_tangent.data() : nullptr;
    const float* v = with_tangent ? tangent.data() : nullptr;
    ok &= n2m_grid_input_grad(&g, n, points.data(), table, a, v, b, to_points.data()) == N2M_OK;
    ok &= n2m_grid_backward(&g, n, points.data(), a, v, b, to_params.data()) == N2M_OK;
    expect(ok, "grid: an error code");
    return bytes_of(out, plain, along, to_params, to_points);
  });
  g.n_features = 3;
  expect(n2m_grid_forward(&g, n, points.data(), table, nullptr) == N2M_UNSUPPORTED, "grid: 3 features were taken");
}

void march_case(Random& random) {
  n2m_march m{random.one_of({2, 4, 8, 12, 16, 24, 32, 64}), 1, random.uniform(0.0f, 1.0f), 1e10f, random.uniform(0.01f, 0.4f)};
  if (m.resolution % 4 == 0) m.n_cascades = 1 + static_cast<int>(random.below(3));
  if (random.chance(0.3)) m.far = m.near + random.uniform(0.1f, 4.0f);
  if (random.chance(0.1)) m.step = 0.0005f;
  const int64_t n_rays = random.one_of<int64_t>({0, 1, 63, 64, 65, 200});
  const int64_t n_bytes = int64_t{m.n_cascades} * m.resolution * m.resolution * m.resolution / 8;
  Array<uint8_t> bits(n_bytes, random);
  const double share = random.one_of({0.0, 0.3, 1.0});
  for (int64_t i = 0; i < n_bytes; ++i) bits[i] = random.chance(share) ? static_cast<uint8_t>(random.next()) : 0;
  const double wild = random.one_of({0.0, 0.1});
  Array<float> origins = floats(3 * n_rays, random, -2.0f, 2.0f, wild), directions = floats(3 * n_rays, random, -1.0f, 1.0f, wild);
  for (int64_t r = 0; r < n_rays; ++r) {  // a nearly vanishing direction would have millions of samples
    const float longest = fmaxf(fabsf(directions[3 * r]), fmaxf(fabsf(directions[3 * r + 1]), fabsf(directions[3 * r + 2])));
    if (longest > 0.0f && longest < 0.02f) directions[3 * r] = 0.02f;
  }
  Array<float> jitter = floats(n_rays, random, 0.0f, 1.0f);
  // As Python sizes it: enough for directions of length 1, and these are often shorter.
  const int64_t words = static_cast<int64_t>(2.0 * sqrt(3.0) * (1 << (m.n_cascades - 1)) / m.step + 2) / 64 + 1;
  const bool masked = words <= 64 && random.chance(0.7), jittered = random.chance(0.7);
  const double kept = random.one_of({1.0, 0.5, 0.0});
  same_for_any_threads("march: other bits with other threads", [&] {
    Random twin = random;
    Array<int32_t> packed(2 * n_rays, twin);
    std::vector<uint64_t> masks(masked ? n_rays * words : 0);
    int64_t total = 0;
    const float* j = jittered ? jitter.data() : nullptr;
    auto* mask = masked && n_rays ? masks.data() : nullptr;
    n2m_march_count(&m, n_rays, origins.data(), directions.data(), bits.data(), j, mask, words, packed.data(), &total);
    const int64_t capacity = static_cast<int64_t>(static_cast<double>(total) * kept);
    for (int64_t r = 0; r < n_rays; ++r) {
      const int64_t start = packed[2 * r] < capacity ? packed[2 * r] : capacity, left = capacity - start;
      packed[2 * r] = static_cast<int32_t>(start);
      if (packed[2 * r + 1] > left) packed[2 * r + 1] = static_cast<int32_t>(left);
    }
    Array<float> t(capacity, twin), dt(capacity, twin);
    Array<int32_t> ray(capacity, twin);
    n2m_march_fill(&m, n_rays, origins.data(), directions.data(), bits.data(), j, mask, words, packed.data(), t.data(), dt.data(), ray.data());
    for (int64_t i = 0; i < capacity; ++i) expect(dt[i] == m.step, "march: a sample was counted and not written");
    return bytes_of(packed, t, dt, ray);
  });
}

void composite_case(Random& random) {
  const int64_t n_rays = random.one_of<int64_t>({0, 1, 64, 65, 300}), padding = random.below(5);
  const int32_t k = random.one_of({0, 1, 3, 7});
  Array<int32_t> packed(2 * n_rays, random);
  int64_t n = 0;
  for (int64_t r = 0; r < n_rays; ++r) {
    const int32_t count = random.chance(0.3) ? 0 : static_cast<int32_t>(random.below(40));
    packed[2 * r] = static_cast<int32_t>(n), packed[2 * r + 1] = count, n += count;
  }
  n += padding;
  const double wild = random.one_of({0.0, 0.02});
  Array<float> density = floats(n, random, 0.0f, 30.0f, wild), channels = floats(n * k, random, 0.0f, 1.0f);
  Array<float> t = floats(n, random, 0.0f, 4.0f), dt = floats(n, random, 0.0f, 0.1f);
  Array<float> to_out = floats(n_rays * k, random), to_ray = floats(n_rays, random);
  const float stop = random.one_of({0.0f, 1e-3f, 0.3f});
  const int which = static_cast<int>(random.below(16));
  same_for_any_threads("composite: other bits with other threads", [&] {
    Random twin = random;
    Array<float> out(n_rays * k, twin), opacity(n_rays, twin), depth(n_rays, twin), spread(n_rays, twin), weights(n, twin);
    Array<float> to_density(n, twin), to_channels(n * k, twin);
    expect(n2m_composite_forward(n_rays, k, stop, density.data(), channels.data(), t.data(), dt.data(), packed.data(), out.data(),
                                 opacity.data(), depth.data(), spread.data(), weights.data()) == N2M_OK, "composite: an error code");
    auto if_bit = [&](int bit, Array<float>& a) { return which >> bit & 1 ? a.data() : nullptr; };
    n2m_composite_backward(n_rays, k, stop, density.data(), channels.data(), t.data(), dt.data(), packed.data(), opacity.data(),
                           depth.data(), weights.data(), if_bit(0, to_out), if_bit(1, to_ray), if_bit(2, to_ray), if_bit(3, to_ray),
                           to_density.data(), to_channels.data());
    return bytes_of(out, opacity, depth, spread, weights, to_density, to_channels);
  });
}

void update_case(Random& random) {
  const int64_t n_cells = 8 * random.one_of<int64_t>({0, 1, 64, 4096, 9000}), n = n_cells ? random.below(500) : 0;
  Array<float> ema = floats(n_cells, random, 0.0f, 1.0f), values = floats(n, random, 0.0f, 2.0f, 0.02);
  Array<int64_t> cells(n, random);
  for (int64_t i = 0; i < n; ++i) cells[i] = random.below(n_cells);
  const int32_t below_mean = random.chance(0.5), row = random.one_of({1, 2, 4, 8}), skip = random.chance(0.5), clear = random.chance(0.5);
  const int64_t n_values = row * random.one_of<int64_t>({0, 1, 5, 333, 20000 + random.below(99)});
  Array<float> param = floats(n_values, random), grad = floats(n_values, random, -1.0f, 1.0f, 0.01);
  for (int64_t i = 0; i < n_values; ++i)
    if (i / row % 3) grad[i] = 0.0f;
  same_for_any_threads("update: other bits with other threads", [&] {
    Random twin = random;
    Array<float> state = ema, p = param, g = grad, mean = param, square = floats(n_values, twin, 0.0f, 1.0f);
    Array<uint8_t> bits(n_cells / 8, twin);
    n2m_update_occupancy(n_cells, state.data(), bits.data(), n, cells.data(), values.data(), 0.9f, 0.5f, below_mean);
    n2m_adam(n_values, p.data(), g.data(), mean.data(), square.data(), 0.01f, 0.9f, 0.99f, 1e-15f, 0.1f, 0.1f, 0.01f, 0.5f, row, skip, clear);
    return bytes_of(state, bits, p, g, mean, square);
  });
}

extern "C" int32_t n2m_probe_lookups(const n2m_grid* g, int64_t n, float* params, int32_t write);
extern "C" int32_t n2m_probe_copy(int64_t n, const float* from, float* to);

void probe_case(Random& random) {
  Layout layout = random_layout(random);
  Array<float> params = floats(layout.n_params, random), copy(layout.n_params, random);
  n2m_set_threads(2);
  n2m_prefer_huge_pages(params.data(), 4 * layout.n_params);
  for (int32_t write : {0, 1}) n2m_probe_lookups(&layout.grid, 3000, params.data(), write);
  n2m_probe_copy(layout.n_params, params.data(), copy.data());
  expect(bytes_of(params) == bytes_of(copy), "probe: the copy differs");
}
