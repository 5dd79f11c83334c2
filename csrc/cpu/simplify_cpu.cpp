// Edge collapse by quadric error (Garland & Heckbert 1997, "Surface simplification using quadric error metrics") that keeps a
// manifold a manifold: an edge is only collapsed under the link condition (Dey et al. 1999), without flipping a face.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <queue>
#include <vector>

#include "core/check.h"
#include "n2m_mesh_abi.h"

namespace n2m {
namespace {

struct Vec {
  double x, y, z;
};
Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
Vec operator*(double s, Vec a) { return {s * a.x, s * a.y, s * a.z}; }
double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
Vec cross(Vec a, Vec b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }

// p^T A p + 2 b^T p + c with A symmetric.
struct Quadric {
  double xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;
  Vec b = {0, 0, 0};
  double c = 0;

  void add_plane(Vec n, double d, double weight) {
    xx += weight * n.x * n.x, xy += weight * n.x * n.y, xz += weight * n.x * n.z;
    yy += weight * n.y * n.y, yz += weight * n.y * n.z, zz += weight * n.z * n.z;
    b = b + weight * d * n;
    c += weight * d * d;
  }
  void add_point(Vec p, double weight) {  // weight * |x - p|^2
    xx += weight, yy += weight, zz += weight;
    b = b - weight * p;
    c += weight * dot(p, p);
  }
  void add(const Quadric& o) {
    xx += o.xx, xy += o.xy, xz += o.xz, yy += o.yy, yz += o.yz, zz += o.zz;
    b = b + o.b;
    c += o.c;
  }
  double at(Vec p) const {
    const Vec ap = {xx * p.x + xy * p.y + xz * p.z, xy * p.x + yy * p.y + yz * p.z, xz * p.x + yz * p.y + zz * p.z};
    return dot(p, ap) + 2.0 * dot(b, p) + c;
  }
  bool minimum(Vec* p) const {
    const double c00 = yy * zz - yz * yz, c01 = xz * yz - xy * zz, c02 = xy * yz - xz * yy;
    const double det = xx * c00 + xy * c01 + xz * c02, trace = xx + yy + zz;
    if (!(std::fabs(det) > 1e-9 * trace * trace * trace)) return false;
    const double c11 = xx * zz - xz * xz, c12 = xy * xz - xx * yz, c22 = xx * yy - xy * xy, s = -1.0 / det;
    *p = {s * (c00 * b.x + c01 * b.y + c02 * b.z), s * (c01 * b.x + c11 * b.y + c12 * b.z), s * (c02 * b.x + c12 * b.y + c22 * b.z)};
    return true;
  }
};

struct Collapse {
  double cost;
  int32_t u, v;
  uint32_t stamp;  // of u and v together; an older one is stale
  bool operator<(const Collapse& o) const {  // the queue's top is the cheapest; ties by index keep the result deterministic
    if (cost != o.cost) return cost > o.cost;
    return u != o.u ? u > o.u : v > o.v;
  }
};

constexpr double kPointWeight = 1e-5;  // of a face's area: holds vertices in flat parts, where planes alone leave them free
constexpr double kMinCosine = 0.2;     // a face may not turn farther than this in one collapse
// 4 sqrt(3) area / sum of squared sides, 1 for an equilateral triangle. A higher bound makes slivers of the input block
// their surroundings, and the result gets worse, not better.
constexpr double kMinQuality = 1e-3;

class Simplifier {
 public:
  Simplifier(double* vertices, int64_t n_vertices, int32_t* faces, int64_t n_faces)
      : p_(reinterpret_cast<Vec*>(vertices)), f_(faces), n_vertices_(n_vertices), n_faces_(n_faces), n_live_(n_faces) {
    head_.assign(n_vertices, -1);
    next_.resize(3 * n_faces);
    stamp_.assign(n_vertices, 0);
    fixed_.assign(n_vertices, 0);
    mark_.assign(n_vertices, 0);
    alive_.assign(n_faces, 1);
    quadric_.resize(n_vertices);
    for (int64_t c = 3 * n_faces - 1; c >= 0; --c) next_[c] = head_[f_[c]], head_[f_[c]] = (int32_t)c;
    for (int64_t f = 0; f < n_faces; ++f) add_face_quadric(f);
    for (int32_t v = 0; v < n_vertices; ++v) find_open_edges(v);
  }

  // The first pass keeps triangles well shaped; the second, for a budget that the first cannot reach, only forbids flips.
  void run(int64_t target_faces) {
    for (int pass = 0; pass < 2 && n_live_ > target_faces; ++pass) {
      min_quality_ = pass == 0 ? kMinQuality : 0.0;
      queue_ = {};
      for (int64_t c = 0; c < 3 * n_faces_; ++c) {
        const int32_t u = f_[c], v = f_[following(c)];
        if (alive_[c / 3] && u < v) push(u, v);
      }
      while (n_live_ > target_faces && !queue_.empty()) {
        const Collapse top = queue_.top();
        queue_.pop();
        if (top.stamp != stamp_[top.u] + stamp_[top.v] || head_[top.u] < 0 || head_[top.v] < 0) continue;
        Vec target;
        cheapest(top.u, top.v, &target);
        if (allowed(top.u, top.v, target)) collapse(top.u, top.v, target);
      }
    }
  }

  void compact(int64_t* counts) {
    std::vector<int32_t> number(n_vertices_, -1);
    int32_t n_vertices = 0;
    for (int64_t v = 0; v < n_vertices_; ++v) {
      if (head_[v] < 0) continue;
      number[v] = n_vertices;
      p_[n_vertices++] = p_[v];
    }
    int64_t n_faces = 0;
    for (int64_t f = 0; f < n_faces_; ++f) {
      if (!alive_[f]) continue;
      for (int k = 0; k < 3; ++k) f_[3 * n_faces + k] = number[f_[3 * f + k]];
      ++n_faces;
    }
    counts[0] = n_vertices, counts[1] = n_faces;
  }

 private:
  static int64_t following(int64_t corner) { return corner % 3 == 2 ? corner - 2 : corner + 1; }
  static int64_t preceding(int64_t corner) { return corner % 3 == 0 ? corner + 2 : corner - 1; }

  void add_face_quadric(int64_t f) {
    const Vec a = p_[f_[3 * f]], n = cross(p_[f_[3 * f + 1]] - a, p_[f_[3 * f + 2]] - a);
    const double length = std::sqrt(dot(n, n)), area = 0.5 * length;
    if (!(length > 0.0)) return;
    const Vec unit = (1.0 / length) * n;
    for (int k = 0; k < 3; ++k) {
      Quadric& q = quadric_[f_[3 * f + k]];
      q.add_plane(unit, -dot(unit, a), area);
      q.add_point(p_[f_[3 * f + k]], kPointWeight * area);
    }
  }

  // A closed fan meets each neighbor twice.
  void find_open_edges(int32_t v) {
    neighbors(v, &ring_);
    for (size_t i = 0; i < ring_.size(); ++i) ++mark_[ring_[i]];
    for (int32_t w : ring_) {
      if (mark_[w] != 2) fixed_[v] = 1;
    }
    for (int32_t w : ring_) mark_[w] = 0;
  }

  // Both other corners of every face at v: each neighbor as often as there are faces at its edge.
  void neighbors(int32_t v, std::vector<int32_t>* out) const {
    out->clear();
    for (int32_t c = head_[v]; c >= 0; c = next_[c]) {
      out->push_back(f_[following(c)]);
      out->push_back(f_[preceding(c)]);
    }
  }

  void push(int32_t u, int32_t v) {
    if (fixed_[u] || fixed_[v]) return;
    if (u > v) std::swap(u, v);
    Vec target;
    const double cost = cheapest(u, v, &target);
    queue_.push({cost, u, v, stamp_[u] + stamp_[v]});
  }

  // Where the merged vertex costs least, and that cost; a far optimum (planes nearly parallel) is not trusted.
  double cheapest(int32_t u, int32_t v, Vec* target) const {
    Quadric q = quadric_[u];
    q.add(quadric_[v]);
    const Vec middle = 0.5 * (p_[u] + p_[v]);
    const double reach = 4.0 * dot(p_[u] - p_[v], p_[u] - p_[v]);
    if (!q.minimum(target) || !(dot(*target - middle, *target - middle) < reach)) {
      *target = middle;
      for (const Vec& end : {p_[u], p_[v]})
        if (q.at(end) < q.at(*target)) *target = end;
    }
    return q.at(*target);
  }

  bool allowed(int32_t u, int32_t v, Vec target) {
    // Link condition on a closed fan: u and v share exactly the two vertices opposite their edge, and these keep three faces.
    neighbors(u, &ring_);
    for (int32_t w : ring_) mark_[w] = 1;
    neighbors(v, &other_);
    int shared = 0;
    bool thin = false;
    for (int32_t w : other_) {
      if (mark_[w] != 1) continue;
      mark_[w] = 2;
      ++shared;
      int valence = 0;
      for (int32_t k = head_[w]; k >= 0; k = next_[k]) ++valence;
      thin |= valence <= 3;
    }
    for (int32_t w : ring_) mark_[w] = 0;
    for (int32_t w : other_) mark_[w] = 0;
    return shared == 2 && !thin && keeps_shape(u, v, target) && keeps_shape(v, u, target);
  }

  bool keeps_shape(int32_t moved, int32_t other, Vec target) const {
    for (int32_t c = head_[moved]; c >= 0; c = next_[c]) {
      const int32_t i = f_[following(c)], j = f_[preceding(c)];
      if (i == other || j == other) continue;
      const Vec a = p_[i], b = p_[j];
      const Vec before = cross(a - p_[moved], b - p_[moved]), after = cross(a - target, b - target);
      const double l0 = dot(before, before), l1 = dot(after, after);
      if (dot(before, after) < kMinCosine * std::sqrt(l0 * l1) || !(l1 > 0.0)) return false;
      const double sides = dot(a - target, a - target) + dot(b - target, b - target) + dot(a - b, a - b);
      const double sides0 = dot(a - p_[moved], a - p_[moved]) + dot(b - p_[moved], b - p_[moved]) + dot(a - b, a - b);
      const double quality = std::sqrt(12.0 * l1) / sides, quality0 = std::sqrt(12.0 * l0) / sides0;
      if (quality < min_quality_ && quality < quality0) return false;
    }
    return true;
  }

  void collapse(int32_t u, int32_t v, Vec target) {
    p_[u] = target;
    quadric_[u].add(quadric_[v]);
    for (int32_t k = head_[v]; k >= 0; k = next_[k]) {
      if (f_[following(k)] == u || f_[preceding(k)] == u) {
        alive_[k / 3] = 0;
        --n_live_;
      }
      f_[k] = u;
    }
    int32_t last = head_[v];
    while (next_[last] >= 0) last = next_[last];
    next_[last] = head_[u];
    head_[u] = head_[v];
    head_[v] = -1;
    unlink_dead(u);
    neighbors(u, &ring_);
    ++stamp_[u];
    std::sort(ring_.begin(), ring_.end());
    ring_.erase(std::unique(ring_.begin(), ring_.end()), ring_.end());
    for (int32_t w : ring_) unlink_dead(w);
    for (int32_t w : ring_) push(u, w);
  }

  void unlink_dead(int32_t v) {
    int32_t* link = &head_[v];
    while (*link >= 0) {
      if (alive_[*link / 3]) {
        link = &next_[*link];
      } else {
        *link = next_[*link];
      }
    }
  }

  Vec* p_;
  int32_t* f_;
  int64_t n_vertices_, n_faces_, n_live_;
  double min_quality_ = kMinQuality;
  std::vector<int32_t> head_, next_;  // corners at each vertex as linked lists
  std::vector<uint32_t> stamp_;
  std::vector<uint8_t> fixed_, alive_;
  std::vector<int32_t> mark_;
  std::vector<Quadric> quadric_;
  std::vector<int32_t> ring_, other_;
  std::priority_queue<Collapse> queue_;
};

}  // namespace
}  // namespace n2m

extern "C" int32_t n2m_simplify(double* vertices, int64_t n_vertices, int32_t* faces, int64_t n_faces, int64_t target_faces,
                                int64_t* counts) {
  using namespace n2m;
  if (!check_count("n_vertices", n_vertices, 0, INT32_MAX) || !check_count("n_faces", n_faces, 0, INT32_MAX / 3)) return 2;
  if (!check_count("target_faces", target_faces)) return 2;
  if (!check_pointer("vertices", vertices, n_vertices > 0) || !check_pointer("faces", faces, n_faces > 0)) return N2M_INVALID;
  if (!check_pointer("counts", counts)) return N2M_INVALID;
  if (!check_indices("faces", faces, 3 * n_faces, n_vertices)) return 1;
  if (!check_all_finite("vertices", vertices, 3 * n_vertices)) return N2M_INVALID;
  try {
    n2m::Simplifier simplifier(vertices, n_vertices, faces, n_faces);
    simplifier.run(target_faces);
    simplifier.compact(counts);
  } catch (const std::exception&) {  // no memory, or more than a vector may hold
    return 3;
  }
  return 0;
}
