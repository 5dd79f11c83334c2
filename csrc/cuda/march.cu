// Marching on the device: count, scan, fill. The order of the samples is that of the rays; nothing waits for the host.
//
// With masks a warp takes a ray: it tests 32 lattice points at once, and writes their samples side by side. That tests points
// which skipping would leave out, but 4,096 rays alone are too few threads to hide the time of a step's loads.
#include "core/march.h"
#include "cuda/launch.cuh"

namespace n2m {
namespace {

constexpr int SCAN_THREADS = 1024;
constexpr int RAY_THREADS = 64;  // of a block: few rays still reach many multiprocessors

struct MarchArgs {
  n2m_march m;
  int64_t n_rays;
  const float *origins, *directions, *jitter;
  const uint8_t* bits;
  unsigned long long* masks;
  int64_t mask_words;
};

struct Ray {
  float o[3], d[3], jitter;
  __device__ Ray(const MarchArgs& a, int64_t r) : jitter(a.jitter ? a.jitter[r] : 0.5f) {
    for (int i = 0; i < 3; ++i) o[i] = a.origins[3 * r + i], d[i] = a.directions[3 * r + i];
  }
};

__global__ void __launch_bounds__(RAY_THREADS) count_samples(const __grid_constant__ MarchArgs a, int32_t* packed_info) {
  const int64_t r = global_index();
  if (r >= a.n_rays) return;
  const Ray ray(a, r);
  int32_t count = 0;
  march_ray(a.m, a.bits, nullptr, ray.o, ray.d, ray.jitter, [&](int32_t) { return ++count, true; });
  packed_info[2 * r + 1] = count;
}

// A warp per ray tests every lattice point that the mask has a bit for; what lies beyond, its first lane finds by skipping.
__global__ void __launch_bounds__(THREADS) count_by_warps(const __grid_constant__ MarchArgs a, int32_t* packed_info) {
  const int64_t r = global_index() / WARP;
  const int lane = threadIdx.x % WARP;
  if (r >= a.n_rays) return;
  const Ray ray(a, r);
  float t_enter = 0.0f, t_exit = 0.0f;
  bool within = clip_ray(a.m, ray.o, ray.d, t_enter, t_exit);
  unsigned* const mask = reinterpret_cast<unsigned*>(a.masks + r * a.mask_words);
  const int32_t n_words = static_cast<int32_t>(2 * a.mask_words);
  int32_t count = 0;
  for (int32_t base = 0; base < n_words; base += WARP) {
    unsigned mine = 0;
    for (int32_t word = base; within && word < n_words && word < base + static_cast<int32_t>(WARP); ++word) {
      const float t = lattice_t(a.m, t_enter, word * static_cast<int32_t>(WARP) + lane, ray.jitter);
      const bool there = t < t_exit;
      const unsigned hits = __ballot_sync(ALL_LANES, there && is_occupied(a.bits, cell_on_ray(a.m, ray.o, ray.d, t)));
      within = __ballot_sync(ALL_LANES, there) == ALL_LANES;
      if (lane == word - base) mine = hits;
      count += __popc(hits);
    }
    if (base + lane < n_words) mask[base + lane] = mine;
  }
  if (lane != 0) return;
  if (within)
    march_ray(a.m, a.bits, nullptr, ray.o, ray.d, ray.jitter, [&](int32_t) { return ++count, true; }, n_words * static_cast<int32_t>(WARP));
  packed_info[2 * r + 1] = count;
}

__device__ __forceinline__ long long warp_inclusive_sum(long long value) {
  const int lane = threadIdx.x % WARP;
  for (int step = 1; step < static_cast<int>(WARP); step *= 2) {
    const long long other = __shfl_up_sync(ALL_LANES, value, step);
    if (lane >= step) value += other;
  }
  return value;
}

// One block turns counts into starts: some microseconds for the rays of a training step, and no second buffer.
__global__ void __launch_bounds__(SCAN_THREADS) scan_counts(int64_t n_rays, int32_t* packed_info, int64_t* n_samples) {
  __shared__ long long warp_totals[WARP];
  __shared__ long long carry;
  if (threadIdx.x == 0) carry = 0;
  const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  for (int64_t begin = 0; begin < n_rays; begin += SCAN_THREADS) {
    const int64_t r = begin + threadIdx.x;
    const long long count = r < n_rays ? packed_info[2 * r + 1] : 0;
    const long long inclusive = warp_inclusive_sum(count);
    if (lane == WARP - 1) warp_totals[warp] = inclusive;
    __syncthreads();
    if (warp == 0) warp_totals[lane] = warp_inclusive_sum(warp_totals[lane]);
    __syncthreads();
    const long long start = carry + (warp ? warp_totals[warp - 1] : 0) + inclusive - count;
    if (r < n_rays) packed_info[2 * r] = static_cast<int32_t>(start < INT32_MAX ? start : INT32_MAX);
    __syncthreads();
    if (threadIdx.x == 0) carry += warp_totals[WARP - 1];
    __syncthreads();
  }
  if (threadIdx.x == 0) *n_samples = carry;
}

// Writes samples of one ray from place `at` on.
struct Output {
  float *t, *dt;
  int32_t* ray_index;
  __device__ void write(const MarchArgs& a, int64_t at, int64_t r, float t_enter, int32_t k, float jitter) const {
    t[at] = lattice_t(a.m, t_enter, k, jitter);
    dt[at] = a.m.step;
    ray_index[at] = static_cast<int32_t>(r);
  }
};

__global__ void __launch_bounds__(RAY_THREADS) fill_samples(const __grid_constant__ MarchArgs a, const int32_t* packed_info, Output out) {
  const int64_t r = global_index();
  if (r >= a.n_rays) return;
  const int32_t count = packed_info[2 * r + 1];
  float t_enter, t_exit;
  const Ray ray(a, r);
  if (count <= 0 || !clip_ray(a.m, ray.o, ray.d, t_enter, t_exit)) return;
  int64_t at = packed_info[2 * r];
  const int64_t last = at + count;
  march_ray(a.m, a.bits, nullptr, ray.o, ray.d, ray.jitter, [&](int32_t k) {
    out.write(a, at, r, t_enter, k, ray.jitter);
    return ++at < last;
  });
}

// A warp per ray: the samples of 32 lattice points, one bit of the mask each, are written side by side.
__global__ void __launch_bounds__(THREADS) fill_by_warps(const __grid_constant__ MarchArgs a, const int32_t* packed_info, Output out) {
  const int64_t r = global_index() / WARP;
  const int lane = threadIdx.x % WARP;
  if (r >= a.n_rays) return;
  const int32_t count = packed_info[2 * r + 1];
  float t_enter, t_exit;
  const Ray ray(a, r);
  if (count <= 0 || !clip_ray(a.m, ray.o, ray.d, t_enter, t_exit)) return;
  int64_t at = packed_info[2 * r];
  const int64_t last = at + count;
  const unsigned* const mask = reinterpret_cast<const unsigned*>(a.masks + r * a.mask_words);
  const int32_t n_words = static_cast<int32_t>(2 * a.mask_words);
  for (int32_t base = 0; base < n_words && at < last; base += WARP) {
    const unsigned mine = base + lane < n_words ? mask[base + lane] : 0u;
    for (unsigned left = __ballot_sync(ALL_LANES, mine != 0u); left && at < last; left &= left - 1u) {
      const int source = __ffs(static_cast<int>(left)) - 1;
      const unsigned hits = __shfl_sync(ALL_LANES, mine, source);
      const int64_t place = at + __popc(hits & ((1u << lane) - 1u));
      if (hits >> lane & 1u && place < last) out.write(a, place, r, t_enter, (base + source) * static_cast<int32_t>(WARP) + lane, ray.jitter);
      at += __popc(hits);
    }
  }
  // A direction shorter than 1 has more lattice points than the mask has bits.
  if (lane == 0 && at < last)
    march_ray(a.m, a.bits, nullptr, ray.o, ray.d, ray.jitter, [&](int32_t k) {
      out.write(a, at, r, t_enter, k, ray.jitter);
      return ++at < last;
    }, n_words * static_cast<int32_t>(WARP));
}

bool check_inputs(const n2m_march* m, int64_t n_rays, const float* origins, const float* directions, const uint8_t* bits,
                  const uint64_t* masks, int64_t mask_words, const int32_t* packed_info) {
  const bool any = n_rays > 0;
  return check_march(m, n_rays) && (masks == nullptr || check_count("mask_words", mask_words, 1, MAX_LATTICE / 64)) &&
         check_pointers({{"origins", origins, any}, {"directions", directions, any}, {"bits", bits, any}, {"packed_info", packed_info, any}});
}

MarchArgs make_args(const n2m_march* m, int64_t n_rays, const float* origins, const float* directions, const uint8_t* bits,
                    const float* jitter, const uint64_t* masks, int64_t mask_words) {
  auto* words = reinterpret_cast<unsigned long long*>(const_cast<uint64_t*>(masks));
  return {*m, n_rays, origins, directions, jitter, bits, words, mask_words};
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

N2M_API int32_t n2m_march_count_cuda(const n2m_march* m, int64_t n_rays, const float* origins, const float* directions,
                                     const uint8_t* bits, const float* jitter, uint64_t* masks, int64_t mask_words,
                                     int32_t* packed_info, int64_t* n_samples, void* stream) {
  if (!check_inputs(m, n_rays, origins, directions, bits, masks, mask_words, packed_info)) return N2M_INVALID;
  if (!check_pointer("n_samples", n_samples)) return N2M_INVALID;
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  const MarchArgs a = make_args(m, n_rays, origins, directions, bits, jitter, masks, mask_words);
  if (n_rays > 0 && masks) {
    count_by_warps<<<blocks_for(n_rays * WARP), THREADS, 0, on>>>(a, packed_info);
  } else if (n_rays > 0) {
    count_samples<<<blocks_for(n_rays, RAY_THREADS), RAY_THREADS, 0, on>>>(a, packed_info);
  }
  scan_counts<<<1, SCAN_THREADS, 0, on>>>(n_rays, packed_info, n_samples);
  return launch_status();
}

N2M_API int32_t n2m_march_fill_cuda(const n2m_march* m, int64_t n_rays, const float* origins, const float* directions,
                                    const uint8_t* bits, const float* jitter, const uint64_t* masks, int64_t mask_words,
                                    const int32_t* packed_info, float* t, float* dt, int32_t* ray_index, void* stream) {
  if (!check_inputs(m, n_rays, origins, directions, bits, masks, mask_words, packed_info)) return N2M_INVALID;
  if (n_rays == 0) return N2M_OK;
  const MarchArgs a = make_args(m, n_rays, origins, directions, bits, jitter, masks, mask_words);
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  const Output out{t, dt, ray_index};
  if (masks) {
    fill_by_warps<<<blocks_for(n_rays * WARP), THREADS, 0, on>>>(a, packed_info, out);
  } else {
    fill_samples<<<blocks_for(n_rays, RAY_THREADS), RAY_THREADS, 0, on>>>(a, packed_info, out);
  }
  return launch_status();
}

}  // extern "C"
