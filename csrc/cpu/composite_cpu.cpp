// Compositing on the CPU: threads share out the rays; a ray is walked front to back, its gradient back to front.
#include "core/composite.h"

#include <atomic>

#include "core/check.h"
#include "cpu/flat_cpu.h"
#include "cpu/parallel.h"

using namespace n2m;

namespace {

constexpr int64_t RAYS_PER_TASK = 64;

int64_t longest(const int32_t* packed_info, int64_t begin, int64_t end) {
  int32_t most = 0;
  for (int64_t r = begin; r < end; ++r) most = packed_info[2 * r + 1] > most ? packed_info[2 * r + 1] : most;
  return most;
}

// Whether there are samples; the rest of the pointers follows from that.
bool check_rays(int64_t n_rays, int32_t n_channels, float stop, const int32_t* packed_info, bool* any) {
  *any = false;
  if (!check_composite(n_rays, n_channels, stop) || !check_pointer("packed_info", packed_info, n_rays > 0)) return false;
  if (!check_packing(n_rays, packed_info)) return false;
  *any = longest(packed_info, 0, n_rays) > 0;
  return true;
}

struct Forward {
  int32_t n_channels;
  float stop;
  const float *density, *channels, *t, *dt;
  float *out, *opacity, *depth, *distortion, *weights;

  void ray(int64_t r, int64_t start, int64_t count, float* alpha) const {
    flat_kernels().alpha(density + start, dt + start, alpha, count);
    float transmitted = 1.0f, W = 0.0f, M = 0.0f, spread = 0.0f;
    float* total = out + r * n_channels;
    for (int32_t k = 0; k < n_channels; ++k) total[k] = 0.0f;
    int64_t i = 0;
    for (; i < count && transmitted >= stop; ++i) {
      const int64_t s = start + i;
      const float w = transmitted * alpha[i];
      transmitted -= w;
      weights[s] = w;
      for (int32_t k = 0; k < n_channels; ++k) total[k] += w * channels[s * n_channels + k];
      spread += distortion_term(w, t[s], dt[s], W, M);
      W += w, M += w * t[s];
    }
    for (; i < count; ++i) weights[start + i] = 0.0f;
    opacity[r] = W, depth[r] = M, distortion[r] = spread;
  }
};

struct Backward {
  int32_t n_channels;
  float stop;
  const float *channels, *t, *dt, *opacity, *depth, *weights;
  const float *grad_out, *grad_opacity, *grad_depth, *grad_distortion;
  float *grad_density, *grad_channels;

  void ray(int64_t r, int64_t start, int64_t count) const {
    const float* to_out = grad_out ? grad_out + r * n_channels : nullptr;
    const float to_opacity = grad_opacity ? grad_opacity[r] : 0.0f, to_depth = grad_depth ? grad_depth[r] : 0.0f;
    const float to_distortion = grad_distortion ? grad_distortion[r] : 0.0f;
    float transmitted = 1.0f;
    int64_t used = 0;  // the same subtractions as in the forward pass: the same stop
    for (; used < count && transmitted >= stop; ++used) transmitted -= weights[start + used];
    for (int64_t i = used; i < count; ++i) {
      grad_density[start + i] = 0.0f;
      for (int32_t k = 0; k < n_channels; ++k) grad_channels[(start + i) * n_channels + k] = 0.0f;
    }
    float behind = 0.0f, W_behind = 0.0f, M_behind = 0.0f;
    for (int64_t s = start + used - 1; s >= start; --s) {
      const float w = weights[s], m = w * t[s];
      float g = to_opacity + to_depth * t[s];
      for (int32_t k = 0; k < n_channels; ++k) {
        const float along = to_out ? to_out[k] : 0.0f;
        g += along * channels[s * n_channels + k];
        grad_channels[s * n_channels + k] = w * along;
      }
      if (to_distortion != 0.0f) {
        const float W = opacity[r] - W_behind - w, M = depth[r] - M_behind - m;
        g += to_distortion * distortion_slope(w, t[s], dt[s], W, M, W_behind, M_behind);
      }
      grad_density[s] = dt[s] * (transmitted * g - behind);
      transmitted += w, behind += w * g, W_behind += w, M_behind += m;
    }
  }
};

}  // namespace

extern "C" {

int32_t n2m_composite_forward(int64_t n_rays, int32_t n_channels, float stop, const float* density, const float* channels,
                              const float* t, const float* dt, const int32_t* packed_info, float* out, float* opacity,
                              float* depth, float* distortion, float* weights) {
  bool any;
  if (!check_rays(n_rays, n_channels, stop, packed_info, &any)) return N2M_INVALID;
  const bool rays = n_rays > 0, wide = n_channels > 0;
  if (!check_pointers({{"density", density, any}, {"channels", channels, any && wide}, {"t", t, any}, {"dt", dt, any},
                       {"weights", weights, any}, {"out", out, rays && wide}, {"opacity", opacity, rays}, {"depth", depth, rays},
                       {"distortion", distortion, rays}}))
    return N2M_INVALID;
  const Forward pass{n_channels, stop, density, channels, t, dt, out, opacity, depth, distortion, weights};
  std::atomic<bool> enough{true};
  parallel_chunks(n_rays, RAYS_PER_TASK, [&](int64_t begin, int64_t end) {
    float* alpha = static_cast<float*>(scratch(3, 4 * longest(packed_info, begin, end) + 4));
    if (!alpha) {
      enough = false;
      return;
    }
    for (int64_t r = begin; r < end; ++r) pass.ray(r, packed_info[2 * r], packed_info[2 * r + 1], alpha);
  });
  return enough ? N2M_OK : N2M_OUT_OF_MEMORY;
}

int32_t n2m_composite_backward(int64_t n_rays, int32_t n_channels, float stop, const float* density, const float* channels,
                               const float* t, const float* dt, const int32_t* packed_info, const float* opacity,
                               const float* depth, const float* weights, const float* grad_out, const float* grad_opacity,
                               const float* grad_depth, const float* grad_distortion, float* grad_density,
                               float* grad_channels) {
  (void)density;
  bool any;
  if (!check_rays(n_rays, n_channels, stop, packed_info, &any)) return N2M_INVALID;
  const bool wide = any && n_channels > 0;
  if (!check_pointers({{"channels", channels, wide}, {"t", t, any}, {"dt", dt, any}, {"opacity", opacity, any}, {"depth", depth, any},
                       {"weights", weights, any}, {"grad_density", grad_density, any}, {"grad_channels", grad_channels, wide}}))
    return N2M_INVALID;
  const Backward pass{n_channels, stop,     channels,     t,          dt,              opacity,      depth,
                      weights,    grad_out, grad_opacity, grad_depth, grad_distortion, grad_density, grad_channels};
  parallel_chunks(n_rays, RAYS_PER_TASK, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) pass.ray(r, packed_info[2 * r], packed_info[2 * r + 1]);
  });
  return N2M_OK;
}

}  // extern "C"
