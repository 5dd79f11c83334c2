// Compositing on the device: a warp per ray, its lanes on 32 consecutive samples; sums along the ray are warp scans.
#include "core/composite.h"
#include "cuda/launch.cuh"

namespace n2m {
namespace {

struct CompositeArgs {
  int64_t n_rays;
  int32_t n_channels;
  float stop;
  const float *density, *channels, *t, *dt;
  const int32_t* packed_info;
};

__device__ __forceinline__ float warp_sum(float v) {
  for (int step = WARP / 2; step > 0; step /= 2) v += __shfl_xor_sync(ALL_LANES, v, step);
  return v;
}
__device__ __forceinline__ float warp_prefix_sum(float v, int lane) {
  for (int step = 1; step < static_cast<int>(WARP); step *= 2) {
    const float other = __shfl_up_sync(ALL_LANES, v, step);
    if (lane >= step) v += other;
  }
  return v;
}
__device__ __forceinline__ float warp_suffix_sum(float v, int lane) {
  for (int step = 1; step < static_cast<int>(WARP); step *= 2) {
    const float other = __shfl_down_sync(ALL_LANES, v, step);
    if (lane + step < static_cast<int>(WARP)) v += other;
  }
  return v;
}
__device__ __forceinline__ float warp_prefix_product(float v, int lane) {
  for (int step = 1; step < static_cast<int>(WARP); step *= 2) {
    const float other = __shfl_up_sync(ALL_LANES, v, step);
    if (lane >= step) v *= other;
  }
  return v;
}

__global__ void __launch_bounds__(THREADS) forward(CompositeArgs a, float* out, float* opacity, float* depth, float* distortion,
                                                   float* weights) {
  const int64_t r = global_index() / WARP;
  const int lane = threadIdx.x % WARP;
  if (r >= a.n_rays) return;
  const int64_t start = a.packed_info[2 * r], count = a.packed_info[2 * r + 1];
  float transmitted = 1.0f, W = 0.0f, M = 0.0f, spread = 0.0f;
  for (int64_t base = 0; base < count; base += WARP) {
    const int64_t s = start + base + lane;
    const bool there = base + lane < count;
    const float t = there ? a.t[s] : 0.0f, dt = there ? a.dt[s] : 0.0f;
    const float alpha = there ? -expm1f(-a.density[s] * dt) : 0.0f;
    const float passed = warp_prefix_product(1.0f - alpha, lane);
    float before = __shfl_up_sync(ALL_LANES, passed, 1);
    before = transmitted * (lane == 0 ? 1.0f : before);
    const float w = before >= a.stop ? before * alpha : 0.0f;
    const float W_here = warp_prefix_sum(w, lane), M_here = warp_prefix_sum(w * t, lane);
    spread += distortion_term(w, t, dt, W + W_here - w, M + M_here - w * t);
    if (there) weights[s] = w;
    W += __shfl_sync(ALL_LANES, W_here, WARP - 1), M += __shfl_sync(ALL_LANES, M_here, WARP - 1);
    transmitted *= __shfl_sync(ALL_LANES, passed, WARP - 1);
  }
  spread = warp_sum(spread);
  if (lane == 0) opacity[r] = W, depth[r] = M, distortion[r] = spread;
  __syncwarp();
  for (int32_t k = 0; k < a.n_channels; ++k) {
    float total = 0.0f;
    for (int64_t i = lane; i < count; i += WARP) total += weights[start + i] * a.channels[(start + i) * a.n_channels + k];
    total = warp_sum(total);
    if (lane == 0) out[r * a.n_channels + k] = total;
  }
}

struct Gradients {
  const float *opacity, *depth, *weights, *to_out, *to_opacity, *to_depth, *to_distortion;
  float *density, *channels;
};

// Back to front. The light that passes sample i is what remains at the end plus the weights behind it: sums of positive
// numbers, no cancellation.
__global__ void __launch_bounds__(THREADS) backward(CompositeArgs a, Gradients g) {
  const int64_t r = global_index() / WARP;
  const int lane = threadIdx.x % WARP;
  if (r >= a.n_rays) return;
  const int64_t start = a.packed_info[2 * r], count = a.packed_info[2 * r + 1];
  const float to_opacity = g.to_opacity ? g.to_opacity[r] : 0.0f, to_depth = g.to_depth ? g.to_depth[r] : 0.0f;
  const float to_distortion = g.to_distortion ? g.to_distortion[r] : 0.0f;
  const float opacity = g.opacity[r], depth = g.depth[r], rest = fmaxf(1.0f - opacity, 0.0f);
  float behind = 0.0f, W_behind = 0.0f, M_behind = 0.0f;
  for (int64_t base = (count - 1) / WARP * WARP; base >= 0 && count > 0; base -= WARP) {
    const int64_t s = start + base + lane;
    const bool there = base + lane < count;
    const float w = there ? g.weights[s] : 0.0f, t = there ? a.t[s] : 0.0f, dt = there ? a.dt[s] : 0.0f;
    const float W_here = warp_suffix_sum(w, lane), M_here = warp_suffix_sum(w * t, lane);
    const float W_after = W_behind + W_here - w, M_after = M_behind + M_here - w * t;
    float slope = to_opacity + to_depth * t;
    slope += to_distortion * distortion_slope(w, t, dt, opacity - W_after - w, depth - M_after - w * t, W_after, M_after);
    if (there) {
      for (int32_t k = 0; k < a.n_channels; ++k) {
        const float along = g.to_out ? g.to_out[r * a.n_channels + k] : 0.0f;
        slope += along * a.channels[s * a.n_channels + k];
        g.channels[s * a.n_channels + k] = w * along;
      }
    }
    const float here = warp_suffix_sum(w * slope, lane);
    const bool reached = rest + W_after + w >= a.stop;
    if (there) g.density[s] = reached ? dt * ((rest + W_after) * slope - (behind + here - w * slope)) : 0.0f;
    behind += __shfl_sync(ALL_LANES, here, 0);
    W_behind += __shfl_sync(ALL_LANES, W_here, 0), M_behind += __shfl_sync(ALL_LANES, M_here, 0);
  }
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

N2M_API int32_t n2m_composite_forward_cuda(int64_t n_rays, int32_t n_channels, float stop, const float* density,
                                           const float* channels, const float* t, const float* dt, const int32_t* packed_info,
                                           float* out, float* opacity, float* depth, float* distortion, float* weights,
                                           void* stream) {
  const bool any = n_rays > 0;
  if (!check_composite(n_rays, n_channels, stop)) return N2M_INVALID;
  if (!check_pointers({{"packed_info", packed_info, any}, {"out", out, any && n_channels > 0}, {"opacity", opacity, any},
                       {"depth", depth, any}, {"distortion", distortion, any}}))
    return N2M_INVALID;
  if (n_rays == 0) return N2M_OK;
  const CompositeArgs a{n_rays, n_channels, stop, density, channels, t, dt, packed_info};
  forward<<<blocks_for(n_rays * WARP), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(a, out, opacity, depth, distortion, weights);
  return launch_status();
}

N2M_API int32_t n2m_composite_backward_cuda(int64_t n_rays, int32_t n_channels, float stop, const float* density,
                                            const float* channels, const float* t, const float* dt, const int32_t* packed_info,
                                            const float* opacity, const float* depth, const float* weights,
                                            const float* grad_out, const float* grad_opacity, const float* grad_depth,
                                            const float* grad_distortion, float* grad_density, float* grad_channels, void* stream) {
  const bool any = n_rays > 0;
  if (!check_composite(n_rays, n_channels, stop)) return N2M_INVALID;
  if (!check_pointers({{"packed_info", packed_info, any}, {"opacity", opacity, any}, {"depth", depth, any}})) return N2M_INVALID;
  if (n_rays == 0) return N2M_OK;
  const CompositeArgs a{n_rays, n_channels, stop, density, channels, t, dt, packed_info};
  const Gradients g{opacity, depth, weights, grad_out, grad_opacity, grad_depth, grad_distortion, grad_density, grad_channels};
  backward<<<blocks_for(n_rays * WARP), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(a, g);
  return launch_status();
}

}  // extern "C"
