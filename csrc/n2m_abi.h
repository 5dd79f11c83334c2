// The C ABI of the native library: the only file that Python mirrors (nerf2mesh/kernels/_lib.py).
//
// Every pointer is to contiguous memory of the caller. float unless said otherwise. Functions return 0, or an error code.
// Null pointers, sizes, ranges, indices and numbers that are not finite are checked before anything is read or written (on a
// GPU without looking at arrays); how long an array is only the caller knows. CUDA entry points have the same names with the
// suffix _cuda and take a stream as their last argument; they only enqueue work, never allocate and never synchronize.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define N2M_API __attribute__((visibility("default")))
#define N2M_ABI_VERSION 1

enum n2m_status { N2M_OK = 0, N2M_UNSUPPORTED = 1, N2M_OUT_OF_MEMORY = 2, N2M_INVALID = 4, N2M_CUDA_ERROR = 1000 };

// One level of the hash grid. `offset` and `size` count entries (n_features values each), `hashed` is 0 or 1.
typedef struct {
  float scale;
  uint32_t resolution, size, offset, hashed;
} n2m_level;

// A grid: `levels` is a host array of n_levels; only the first n_active are evaluated, the others give zeros.
typedef struct {
  const n2m_level* levels;
  int32_t n_dims, n_levels, n_features, n_active;
  int32_t smoothstep;  // 0 linear, 1 smoothstep
  int32_t half;        // parameters are float16
} n2m_grid;

// The part of [-1, 1]^3 (times 2^(n_cascades-1)) that rays cross, and the lattice on which they are sampled.
typedef struct {
  int32_t resolution, n_cascades;
  float near, far, step;
} n2m_march;

typedef void (*n2m_range_fn)(int64_t begin, int64_t end, void* context);
typedef int32_t (*n2m_parallel_fn)(int64_t begin, int64_t end, int64_t grain, n2m_range_fn body, void* context);

N2M_API int32_t n2m_abi_version(void);
// "NAME: expected X, got Y" of this thread's last call that was refused (N2M_INVALID, or 1, 2 and 4 of the mesh tools).
N2M_API const char* n2m_last_error(void);
N2M_API const char* n2m_cpu_isa(void);
// Caps the instruction set ("scalar", "avx2", "avx512"); 0 if this machine has it. For tests.
N2M_API int32_t n2m_set_isa(const char* name);
// torch's own parallel_for, or null for the library's small pool.
N2M_API void n2m_set_parallel(n2m_parallel_fn parallel);
N2M_API void n2m_set_threads(int32_t n_threads);
// Asks for huge pages in freshly allocated memory before it is first written: a page fault for every 4 KiB costs more than
// the kernels themselves. A hint; does nothing where the system has none.
N2M_API void n2m_prefer_huge_pages(void* memory, int64_t n_bytes);

// ---- hash grid: points [n, n_dims], out and grad_out [n, n_levels * n_features] ------------------------------------
N2M_API int32_t n2m_grid_forward(const n2m_grid*, int64_t n, const float* points, const void* params, float* out);
// out and the directional derivative out_tangent = J(points) tangent, tangent [n, n_dims].
N2M_API int32_t n2m_grid_jvp(const n2m_grid*, int64_t n, const float* points, const void* params, const float* tangent,
                             float* out, float* out_tangent);
// grad_params += J_params^T grad_out (+ the tangent's share: tangent and grad_tangent both given or both null).
// grad_out may be null where only the tangent's share is wanted. grad_params is float also for float16 parameters.
N2M_API int32_t n2m_grid_backward(const n2m_grid*, int64_t n, const float* points, const float* grad_out,
                                  const float* tangent, const float* grad_tangent, float* grad_params);
// grad_points [n, n_dims] = J^T grad_out (+ d/dx <grad_tangent, J tangent>).
N2M_API int32_t n2m_grid_input_grad(const n2m_grid*, int64_t n, const float* points, const void* params,
                                    const float* grad_out, const float* tangent, const float* grad_tangent,
                                    float* grad_points);

// ---- marching: packed_info int32 [n_rays, 2] = (start, count) ------------------------------------------------------
// First pass: counts into packed_info[:, 1], starts by prefix sum, the sum is returned through n_samples.
// masks [n_rays, mask_words] remembers which of the first 64 mask_words lattice points were hit; for those beyond, and
// where it is null, the second pass marches again.
N2M_API int32_t n2m_march_count(const n2m_march*, int64_t n_rays, const float* origins, const float* directions,
                                const uint8_t* bits, const float* jitter, uint64_t* masks, int64_t mask_words,
                                int32_t* packed_info, int64_t* n_samples);
// Second pass; packed_info may have been clipped to a capacity in between.
N2M_API int32_t n2m_march_fill(const n2m_march*, int64_t n_rays, const float* origins, const float* directions,
                               const uint8_t* bits, const float* jitter, const uint64_t* masks, int64_t mask_words,
                               const int32_t* packed_info, float* t, float* dt, int32_t* ray_index);

// ---- compositing ---------------------------------------------------------------------------------------------------
N2M_API int32_t n2m_composite_forward(int64_t n_rays, int32_t n_channels, float stop, const float* density,
                                      const float* channels, const float* t, const float* dt, const int32_t* packed_info,
                                      float* out, float* opacity, float* depth, float* distortion, float* weights);
// The four gradients of the outputs may be null. `weights`, `opacity`, `depth` are the forward's results.
N2M_API int32_t n2m_composite_backward(int64_t n_rays, int32_t n_channels, float stop, const float* density,
                                       const float* channels, const float* t, const float* dt, const int32_t* packed_info,
                                       const float* opacity, const float* depth, const float* weights,
                                       const float* grad_out, const float* grad_opacity, const float* grad_depth,
                                       const float* grad_distortion, float* grad_density, float* grad_channels);

// ---- occupancy and optimizer ---------------------------------------------------------------------------------------
// ema *= decay; ema[cells] = max(ema[cells], values); bits = ema > threshold, or > min(threshold, mean) if below_mean.
N2M_API int32_t n2m_update_occupancy(int64_t n_cells, float* ema, uint8_t* bits, int64_t n, const int64_t* cells,
                                     const float* values, float decay, float threshold, int32_t below_mean);
// Adam with decoupled weight decay. Rows of row_size whose gradient is all zero are skipped when skip_zero_rows is set.
// bias1 = 1 - beta1^step, bias2 = 1 - beta2^step. grad is multiplied by grad_scale; zero_grad clears it on the way.
N2M_API int32_t n2m_adam(int64_t n, float* param, float* grad, float* mean, float* square, float lr, float beta1,
                         float beta2, float eps, float decay, float bias1, float bias2, float grad_scale,
                         int32_t row_size, int32_t skip_zero_rows, int32_t zero_grad);
// On a GPU only, with the suffix: n2m_adam for `count` tensors in one launch for every 32. Host arrays, row-major, a row per
// tensor: pointers [count, 4] param, grad, mean, square; sizes [count]; rates [count, 8] lr to grad_scale; flags [count, 3].
N2M_API int32_t n2m_adam_many_cuda(int32_t count, float* const* pointers, const int64_t* sizes, const float* rates,
                                   const int32_t* flags, void* stream);

#ifdef __cplusplus
}
#endif
