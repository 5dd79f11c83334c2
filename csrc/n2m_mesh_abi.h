/* C interface of the mesh tools: plain pointers, row-major arrays, host memory but for n2m_rasterize_cuda. The Python mirrors are in
   nerf2mesh/render/raster_arrays.py and nerf2mesh/mesh/surface/simplify.py. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define N2M_API __attribute__((visibility("default")))

typedef struct {
  const double* vertices; /* [n_vertices, 3] world */
  const int32_t* faces;   /* [n_faces, 3] */
  const float* normals;   /* [n_vertices, 3], or NULL: normals of the faces */
  const float* colors;    /* [n_vertices, 3] sRGB, or NULL */
  const float* uv;        /* [n_faces, 3, 2], v upward; used where texture is set */
  const uint8_t* texture; /* [texture_height, texture_width, texture_channels], or NULL */
  int64_t n_vertices, n_faces;
  int32_t texture_height, texture_width, texture_channels;
  float grey; /* color of a mesh that has none */
} n2m_raster_mesh;

typedef struct {
  const double* cameras; /* [n_cameras, 20]: camera_to_world [4, 4], focal_px [2], principal_px [2] */
  const float* lights;   /* [n_cameras, 3] unit direction to the light for Lambert shading, or NULL: albedo */
  int32_t n_cameras, height, width;
  int32_t supersample; /* samples per pixel along one axis */
  int32_t orthographic;
  float ambient; /* share of the light that comes from everywhere */
  double near_depth;
} n2m_raster_views;

/* Any pointer may be NULL. Color and normal are premultiplied by the opacity, depth is the mean distance over the covered samples. */
typedef struct {
  float* rgb;          /* [n_cameras, height, width, 3] */
  float* opacity;      /* [n_cameras, height, width] */
  float* depth;        /* [n_cameras, height, width] */
  float* normal;       /* [n_cameras, height, width, 3] world */
  int32_t* face;       /* [n_cameras, height, width] nearest face in the pixel, -1 for none */
  float* barycentric;  /* [n_cameras, height, width, 3] of that face */
  int32_t* layers;     /* [n_cameras, height, width] faces that cover the pixel's samples, seen or hidden */
} n2m_raster_images;

/* Returns 0, or 1 for a face index out of range, 2 for a bad size, 3 for not enough memory, 4 for a null pointer or a number out
   of its range; n2m_last_error names the argument. A vertex that is not finite makes its faces invisible. */
N2M_API int32_t n2m_rasterize(const n2m_raster_mesh* mesh, const n2m_raster_views* views, const n2m_raster_images* images);

/* The same on a device: the structures are in host memory, all arrays that they point to on the device. visibility: scratch,
   [n_cameras, height * supersample, width * supersample]. Looks at no array: face indices must be in range, cameras and lights
   finite. Enqueues on the stream and returns as the entry points of n2m_abi.h do. */
N2M_API int32_t n2m_rasterize_cuda(const n2m_raster_mesh* mesh, const n2m_raster_views* views, const n2m_raster_images* images,
                                   uint64_t* visibility, void* stream);

/* Collapses edges of a mesh [n_vertices, 3], [n_faces, 3] in place, cheapest first, down to target_faces. Never makes an
   edge of more than two faces; vertices at an open or branching edge stay. On return the arrays hold the new mesh and
   counts[0], counts[1] its numbers of vertices and faces, which may miss the target. Returns as n2m_rasterize does; vertices
   must be finite. */
N2M_API int32_t n2m_simplify(double* vertices, int64_t n_vertices, int32_t* faces, int64_t n_faces, int64_t target_faces,
                             int64_t* counts);

#ifdef __cplusplus
}
#endif
