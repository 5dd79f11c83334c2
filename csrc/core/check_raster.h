// What both rasterizers check of sizes, and the CPU's also of values. Host only.
#pragma once

#include "core/check.h"
#include "n2m_mesh_abi.h"

namespace n2m {

constexpr int64_t kMaxSide = 1 << 17;  // samples; a band of one row of pixels then takes 128 MB at most

inline bool check_sizes(const n2m_raster_mesh& mesh, const n2m_raster_views& views) {
  const int64_t scale = views.supersample;
  return check_count("n_vertices", mesh.n_vertices, 0, INT32_MAX) && check_count("n_faces", mesh.n_faces, 0, INT32_MAX / 3) &&
         check_count("n_cameras", views.n_cameras, 0, 1 << 20) && check_count("supersample", scale, 1, 64) &&
         check_count("height", views.height, 1, kMaxSide / scale) && check_count("width", views.width, 1, kMaxSide / scale) &&
         (!mesh.texture || (check_count("texture_height", mesh.texture_height, 1, 1 << 20) &&
                            check_count("texture_width", mesh.texture_width, 1, 1 << 20) &&
                            check_count("texture_channels", mesh.texture_channels, 3, 4)));
}

// Pointers and numbers that are passed by value; looks at no array.
inline bool check_given(const n2m_raster_mesh& mesh, const n2m_raster_views& views) {
  return check_pointer("vertices", mesh.vertices, mesh.n_vertices > 0) && check_pointer("faces", mesh.faces, mesh.n_faces > 0) &&
         check_pointer("cameras", views.cameras, views.n_cameras > 0) && check_finite("ambient", views.ambient) &&
         check_finite("near", views.near_depth) && (views.orthographic || check_range("near", views.near_depth, 0.0, 1e300));
}

inline bool check_cameras(const n2m_raster_views& views) {
  if (!check_all_finite("cameras", views.cameras, 20 * int64_t{views.n_cameras})) return false;
  for (int64_t i = 0; i < views.n_cameras; ++i)
    for (int k = 16; k < 18; ++k)
      if (views.cameras[20 * i + k] == 0.0)
        return refuse("cameras: expected focal lengths other than 0, got 0 of camera %lld", static_cast<long long>(i));
  return !views.lights || check_all_finite("lights", views.lights, 3 * int64_t{views.n_cameras});
}

}  // namespace n2m
