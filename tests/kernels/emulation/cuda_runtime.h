// Stands in for CUDA's header: runs kernels on the CPU, block after block, a fiber for every thread, so that their source can
// be checked where there is no GPU. Warps meet at shuffles and blocks at __syncthreads; nothing is said about speed, about
// races between warps, or about what ptxas makes of the source. N2M_EMULATED_ARCH chooses the paths (900: sm_90).
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <vector>

#define __CUDACC__ 1
#define __CUDA_ARCH__ N2M_EMULATED_ARCH
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(threads)
#define __grid_constant__

using cudaStream_t = void*;
using cudaError_t = int;
enum { cudaSuccess = 0 };
inline cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) { return memset(p, value, bytes), cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct __half { _Float16 value; };
struct __half2 { __half x, y; };
inline float __half2float(__half h) { return static_cast<float>(h.value); }
inline float2 __half22float2(__half2 h) { return {__half2float(h.x), __half2float(h.y)}; }

// A device faults where a vector is not aligned to its size.
inline void must_be_aligned(const void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes) abort();
}
template <class T>
T __ldg(const T* p) {
  must_be_aligned(p, sizeof(T));
  return *p;
}
inline float atomicAdd(float* p, float v) { return (*p += v) - v; }
inline float2 atomicAdd(float2* p, float2 v) {
  must_be_aligned(p, 8);
  p->x += v.x, p->y += v.y;
  return *p;
}
inline float4 atomicAdd(float4* p, float4 v) {
  must_be_aligned(p, 16);
  p->x += v.x, p->y += v.y, p->z += v.z, p->w += v.w;
  return *p;
}
inline int atomicAdd(int* p, int v) { return (*p += v) - v; }
inline unsigned long long atomicMin(unsigned long long* p, unsigned long long v) {
  must_be_aligned(p, 8);
  return *p = std::min(*p, v);
}
inline int atomicMax(int* p, int v) { return *p = std::max(*p, v); }

inline float __fadd_rn(float a, float b) { volatile float sum = a + b; return sum; }
inline float __fmul_rn(float a, float b) { volatile float product = a * b; return product; }
inline int __float_as_int(float v) { int bits; memcpy(&bits, &v, 4); return bits; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __ffsll(long long v) { return __builtin_ffsll(v); }
inline int __popc(unsigned v) { return __builtin_popcount(v); }

namespace emulation {

enum Waiting { RUNNING, AT_WARP, AT_BLOCK, DONE };
struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
  Waiting waiting = DONE;
  uint64_t offered = 0;
};
extern std::vector<Fiber> fibers;
extern int current;
extern float* dynamic_shared;

void wait_at(Waiting kind);
void launch(dim3 grid, unsigned n_threads, size_t shared_bytes, const std::function<void()>& kernel);

// Everyone offers a value, then reads those of the warp: visit(lane, value).
template <class T, class Visit>
void exchange(T value, Visit visit) {
  memcpy(&fibers[current].offered, &value, sizeof value);
  wait_at(AT_WARP);
  for (int lane = 0; lane < 32; ++lane) {
    T other;
    memcpy(&other, &fibers[current / 32 * 32 + lane].offered, sizeof other);
    visit(lane, other);
  }
  wait_at(AT_WARP);
}
template <class T>
T value_of(T value, int wanted) {
  T found = value;
  if (wanted < 0 || wanted > 31) wanted = current % 32;
  exchange(value, [&](int lane, T other) { if (lane == wanted) found = other; });
  return found;
}

}  // namespace emulation

extern dim3 blockIdx, blockDim, gridDim, threadIdx;
inline void __syncthreads() { emulation::wait_at(emulation::AT_BLOCK); }
inline void __syncwarp() { emulation::wait_at(emulation::AT_WARP); }
template <class T>
T __shfl_sync(unsigned, T v, int lane) { return emulation::value_of(v, lane); }
template <class T>
T __shfl_up_sync(unsigned, T v, int step) { return emulation::value_of(v, emulation::current % 32 - step); }
template <class T>
T __shfl_down_sync(unsigned, T v, int step) { return emulation::value_of(v, emulation::current % 32 + step); }
template <class T>
T __shfl_xor_sync(unsigned, T v, int bits) { return emulation::value_of(v, emulation::current % 32 ^ bits); }
inline unsigned __ballot_sync(unsigned, bool vote) {
  unsigned votes = 0;
  emulation::exchange(static_cast<int>(vote), [&](int lane, int v) { votes |= static_cast<unsigned>(v) << lane; });
  return votes;
}
inline int __reduce_max_sync(unsigned, int v) {
  int most = v;
  emulation::exchange(v, [&](int, int other) { most = std::max(most, other); });
  return most;
}
