// Random calls of the mesh tools' C ABI: rasterizer and edge collapse.
#include "n2m_mesh_abi.h"
#include "support.h"

namespace {

struct Mesh {
  std::vector<double> vertices;
  std::vector<int32_t> faces;
};

// A closed torus of quads cut in two: something that can be collapsed.
Mesh torus(int n, int m, Random& random) {
  Mesh made;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < m; ++j) {
      const double u = 6.283185307179586 * i / n, v = 6.283185307179586 * j / m, r = 0.6 + 0.25 * cos(v);
      const double noise = 0.01 * random.uniform(-1.0f, 1.0f);
      for (double x : {r * cos(u) + noise, r * sin(u), 0.25 * sin(v)}) made.vertices.push_back(x);
      const int a = i * m + j, b = (i + 1) % n * m + j, c = (i + 1) % n * m + (j + 1) % m, d = i * m + (j + 1) % m;
      for (int corner : {a, b, c, a, c, d}) made.faces.push_back(corner);
    }
  return made;
}

// Any triangles: degenerate, repeated, far away, at wild coordinates.
Mesh soup(Random& random) {
  Mesh made;
  const int64_t n_vertices = 1 + random.below(60), n_faces = random.below(80);
  const double wild = random.one_of({0.0, 0.03, 0.3});
  for (int64_t i = 0; i < 3 * n_vertices; ++i) made.vertices.push_back(random.wild(-2.0f, 2.0f, wild));
  for (int64_t i = 0; i < 3 * n_faces; ++i) made.faces.push_back(static_cast<int32_t>(random.below(n_vertices)));
  return made;
}

Mesh random_mesh(Random& random) {
  if (random.chance(0.5)) return soup(random);
  const int n = 3 + static_cast<int>(random.below(12)), m = 3 + static_cast<int>(random.below(12));
  Mesh made = torus(n, m, random);
  while (random.chance(0.5)) made.faces.resize(made.faces.size() - 3);  // open, now and then
  made.vertices.shrink_to_fit(), made.faces.shrink_to_fit();
  return made;
}

}  // namespace

void raster_case(Random& random) {
  Mesh mesh = random_mesh(random);
  const int64_t n_vertices = static_cast<int64_t>(mesh.vertices.size()) / 3, n_faces = static_cast<int64_t>(mesh.faces.size()) / 3;
  Array<float> normals = floats(3 * n_vertices, random), colors = floats(3 * n_vertices, random, 0.0f, 1.0f);
  Array<float> uv = floats(6 * n_faces, random, -2.0f, 3.0f, 0.01), lights = floats(9, random);
  const int side = 1 + static_cast<int>(random.below(9)), depth = random.one_of({3, 4});
  Array<uint8_t> texture(side * side * depth, random);
  n2m_raster_views views{nullptr, random.chance(0.5) ? lights.data() : nullptr, static_cast<int32_t>(random.below(4)),
                         1 + static_cast<int32_t>(random.below(40)), 1 + static_cast<int32_t>(random.below(40)),
                         1 + static_cast<int32_t>(random.below(3)), random.chance(0.3), 0.3f, random.one_of({1e-3, 0.5})};
  std::vector<double> cameras;
  for (int32_t i = 0; i < views.n_cameras; ++i) {
    const double a = random.uniform(0.0f, 6.3f), c = cos(a), s = sin(a), far = random.one_of({0.1, 1.0, 3.0});
    for (double x : {c, 0.0, s, far * s, 0.0, 1.0, 0.0, 0.1, -s, 0.0, c, far * c, 0.0, 0.0, 0.0, 1.0}) cameras.push_back(x);
    const double focal = random.one_of({30.0, 30.0, -30.0, 1e-300, 1e12, 1e300}), shift = random.one_of({0.0, 0.0, 1e10, -1e300});
    for (double x : {focal, focal, views.width / 2.0 + shift, views.height / 2.0 + shift}) cameras.push_back(x);
    if (random.chance(0.2)) cameras[20 * i + random.below(16)] = random.one_of({0.0, 1e10, -1e30, 1e308});
  }
  views.cameras = cameras.data();
  const bool textured = random.chance(0.4);
  const n2m_raster_mesh input{mesh.vertices.data(), mesh.faces.data(), random.chance(0.5) ? normals.data() : nullptr,
                              random.chance(0.5) ? colors.data() : nullptr, uv.data(), textured ? texture.data() : nullptr,
                              n_vertices, n_faces, side, side, depth, 0.5f};
  const int64_t n_pixels = int64_t{views.n_cameras} * views.height * views.width;
  const int wanted = static_cast<int>(random.below(128));
  same_for_any_threads("raster: other bits with other threads", [&] {
    Random twin = random;
    Array<float> rgb(3 * n_pixels, twin), opacity(n_pixels, twin), distance(n_pixels, twin), normal(3 * n_pixels, twin), b(3 * n_pixels, twin);
    Array<int32_t> face(n_pixels, twin), layers(n_pixels, twin);
    auto if_bit = [&](int bit, auto& a) { return wanted >> bit & 1 ? a.data() : nullptr; };
    const n2m_raster_images images{if_bit(0, rgb), if_bit(1, opacity), if_bit(2, distance), if_bit(3, normal),
                                   if_bit(4, face), if_bit(5, b), if_bit(6, layers)};
    expect(n2m_rasterize(&input, &views, &images) == 0, "raster: an error code");
    return bytes_of(rgb, opacity, distance, normal, face, b, layers);
  });
}

void simplify_case(Random& random) {
  Mesh mesh = random_mesh(random);
  const int64_t n_vertices = static_cast<int64_t>(mesh.vertices.size()) / 3, n_faces = static_cast<int64_t>(mesh.faces.size()) / 3;
  int64_t counts[2] = {-1, -1};
  for (double& x : mesh.vertices)
    if (!isfinite(x)) x = 1e30;
  expect(n2m_simplify(mesh.vertices.data(), n_vertices, mesh.faces.data(), n_faces, random.below(n_faces + 2), counts) == 0,
         "simplify: an error code");
  expect(counts[0] >= 0 && counts[0] <= n_vertices && counts[1] >= 0 && counts[1] <= n_faces, "simplify: impossible counts");
  for (int64_t i = 0; i < 3 * counts[1]; ++i)
    expect(mesh.faces[i] >= 0 && mesh.faces[i] < counts[0], "simplify: a face without a vertex");
  if (n_faces == 0) return;
  mesh.faces[0] = static_cast<int32_t>(n_vertices);
  expect(n2m_simplify(mesh.vertices.data(), n_vertices, mesh.faces.data(), n_faces, 4, counts) == 1, "simplify: a bad index was taken");
}
