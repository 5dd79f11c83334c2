// Occupancy update and the optimizer step on the device.
#include "core/adam.h"
#include "cuda/grid.cuh"

namespace n2m {
namespace {

__global__ void __launch_bounds__(THREADS) decay_cells(int64_t n, float* ema, float decay) {
  const int64_t i = global_index();
  if (i < n) ema[i] *= decay;
}

// Densities are not negative, and such floats are ordered as their bits are.
__global__ void __launch_bounds__(THREADS) raise_cells(int64_t n, float* ema, const int64_t* cells, const float* values) {
  const int64_t i = global_index();
  if (i < n && values[i] > 0.0f) atomicMax(reinterpret_cast<int*>(ema + cells[i]), __float_as_int(values[i]));
}

__global__ void __launch_bounds__(THREADS) set_bits(int64_t n_bytes, const float* ema, uint8_t* bits, float threshold) {
  const int64_t i = global_index();
  if (i >= n_bytes) return;
  unsigned byte = 0;
  for (int b = 0; b < 8; ++b) byte |= static_cast<unsigned>(ema[8 * i + b] > threshold) << b;
  bits[i] = static_cast<uint8_t>(byte);
}

struct AdamArgs {
  int64_t n;
  float *param, *grad, *mean, *square;
  AdamRates rates;
  int32_t row_size;
  bool skip_zero_rows, zero_grad, vectors;
};

// Tensors of one launch, which travel with the kernel's parameters; end: one past a tensor's last block.
constexpr int BATCH = 32;
struct AdamBatch {
  AdamArgs at[BATCH];
  unsigned end[BATCH];
};

// A thread owns a row: it alone sees whether the row was touched. For sizes and addresses that take no vectors.
__device__ __forceinline__ void adam_row(const AdamArgs& a, int64_t row) {
  const int64_t begin = row * a.row_size;
  if (begin >= a.n) return;
  bool touched = !a.skip_zero_rows;
  for (int32_t f = 0; f < a.row_size && !touched; ++f) touched = a.grad[begin + f] != 0.0f;
  if (!touched) return;
  for (int64_t i = begin; i < begin + a.row_size; ++i) {
    adam_update(a.rates, a.grad[i], a.mean[i], a.square[i], a.param[i]);
    if (a.zero_grad) a.grad[i] = 0.0f;
  }
}

__device__ __forceinline__ void load_vector(const float* p, float (&out)[4]) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  out[0] = v.x, out[1] = v.y, out[2] = v.z, out[3] = v.w;
}

// Which of a thread's four values lie in a touched row of `row` values (0: all count as touched).
__device__ __forceinline__ void find_touched(int32_t row, const float (&g)[4], bool (&touched)[4]) {
#pragma unroll
  for (int k = 0; k < 4; ++k) touched[k] = row == 0 || g[k] != 0.0f;
  if (row >= 2) touched[0] = touched[1] = touched[0] || touched[1], touched[2] = touched[3] = touched[2] || touched[3];
  if (row >= 4) touched[0] = touched[1] = touched[2] = touched[3] = touched[0] || touched[2];
  if (row == 8) {
    const bool any = touched[0] || __shfl_xor_sync(ALL_LANES, static_cast<int>(touched[0]), 1) != 0;
    touched[0] = touched[1] = touched[2] = touched[3] = any;
  }
}

// Four neighbors a thread, 16 bytes an access: the step is nothing but memory traffic.
__device__ __forceinline__ void adam_vector(const AdamArgs& a, int64_t i) {
  const bool there = i < a.n;
  float g[4] = {}, m[4], v[4], p[4];
  bool touched[4];
  if (there) load_vector(a.grad + i, g);
  find_touched(a.skip_zero_rows ? a.row_size : 0, g, touched);
  if (!there || !(touched[0] || touched[1] || touched[2] || touched[3])) return;
  load_vector(a.mean + i, m), load_vector(a.square + i, v), load_vector(a.param + i, p);
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (touched[k]) adam_update(a.rates, g[k], m[k], v[k], p[k]);
  store_row<4>(a.mean + i, m), store_row<4>(a.square + i, v), store_row<4>(a.param + i, p);
  if (a.zero_grad) *reinterpret_cast<float4*>(a.grad + i) = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
}

// Every block belongs to one tensor.
__global__ void __launch_bounds__(THREADS) adam(const __grid_constant__ AdamBatch batch) {
  int which = 0;
  while (blockIdx.x >= batch.end[which]) ++which;
  const AdamArgs& a = batch.at[which];
  const int64_t i = static_cast<int64_t>(blockIdx.x - (which ? batch.end[which - 1] : 0u)) * blockDim.x + threadIdx.x;
  if (a.vectors) {
    adam_vector(a, i * 4);
  } else {
    adam_row(a, i);
  }
}

bool takes_vectors(const AdamArgs& a) {
  uintptr_t bits = 0;
  for (const float* p : {a.param, a.grad, a.mean, a.square}) bits |= reinterpret_cast<uintptr_t>(p);
  const bool row = !a.skip_zero_rows || a.row_size == 1 || a.row_size == 2 || a.row_size == 4 || a.row_size == 8;
  return bits % 16 == 0 && a.n % 4 == 0 && row;
}

// One tensor's arguments: pointers param, grad, mean, square; rates lr to grad_scale as n2m_adam takes them; flags row_size,
// skip_zero_rows, zero_grad. False where they are refused.
bool adam_args(int64_t n, float* const* p, const float* r, const int32_t* flags, AdamArgs& out) {
  if (!check_adam(n, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], flags[0])) return false;
  if (!check_pointers({{"param", p[0], n > 0}, {"grad", p[1], n > 0}, {"mean", p[2], n > 0}, {"square", p[3], n > 0}})) return false;
  const AdamRates rates = adam_rates(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]);
  out = {n, p[0], p[1], p[2], p[3], rates, flags[0], flags[1] != 0, flags[2] != 0, false};
  out.vectors = takes_vectors(out);
  return true;
}

// As many launches as there are batches of tensors.
int32_t run_adam(int32_t count, float* const* pointers, const int64_t* sizes, const float* rates, const int32_t* flags, cudaStream_t on) {
  AdamBatch batch{};
  int used = 0;
  unsigned blocks = 0;
  const auto send = [&] {
    if (used > 0) adam<<<blocks, THREADS, 0, on>>>(batch);
    used = 0, blocks = 0;
  };
  for (int32_t k = 0; k < count; ++k) {
    if (!adam_args(sizes[k], pointers + 4 * k, rates + 8 * k, flags + 3 * k, batch.at[used])) return N2M_INVALID;
    if (sizes[k] == 0) continue;
    blocks += blocks_for(sizes[k] / (batch.at[used].vectors ? 4 : batch.at[used].row_size));
    batch.end[used++] = blocks;
    if (used == BATCH || blocks > 1u << 30) send();
  }
  send();
  return launch_status();
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

N2M_API int32_t n2m_update_occupancy_cuda(int64_t n_cells, float* ema, uint8_t* bits, int64_t n, const int64_t* cells,
                                          const float* values, float decay, float threshold, int32_t below_mean, void* stream) {
  if (below_mean) return N2M_UNSUPPORTED;  // the mean is torch's to take
  if (!check_occupancy(n_cells, n, decay, threshold)) return N2M_INVALID;
  if (!check_pointers({{"ema", ema, n_cells > 0}, {"bits", bits, n_cells > 0}, {"cells", cells, n > 0}, {"values", values, n > 0}}))
    return N2M_INVALID;
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  if (n_cells == 0) return N2M_OK;
  decay_cells<<<blocks_for(n_cells), THREADS, 0, on>>>(n_cells, ema, decay);
  if (n > 0) raise_cells<<<blocks_for(n), THREADS, 0, on>>>(n, ema, cells, values);
  set_bits<<<blocks_for(n_cells / 8), THREADS, 0, on>>>(n_cells / 8, ema, bits, threshold);
  return launch_status();
}

N2M_API int32_t n2m_adam_cuda(int64_t n, float* param, float* grad, float* mean, float* square, float lr, float beta1, float beta2,
                              float eps, float decay, float bias1, float bias2, float grad_scale, int32_t row_size,
                              int32_t skip_zero_rows, int32_t zero_grad, void* stream) {
  float* const pointers[] = {param, grad, mean, square};
  const float rates[] = {lr, beta1, beta2, eps, decay, bias1, bias2, grad_scale};
  const int32_t flags[] = {row_size, skip_zero_rows, zero_grad};
  return run_adam(1, pointers, &n, rates, flags, static_cast<cudaStream_t>(stream));
}

N2M_API int32_t n2m_adam_many_cuda(int32_t count, float* const* pointers, const int64_t* sizes, const float* rates,
                                   const int32_t* flags, void* stream) {
  if (!check_count("count", count, 0, INT32_MAX / 8)) return N2M_INVALID;
  if (!check_pointers({{"pointers", pointers, count > 0}, {"sizes", sizes, count > 0}, {"rates", rates, count > 0}, {"flags", flags, count > 0}}))
    return N2M_INVALID;
  return run_adam(count, pointers, sizes, rates, flags, static_cast<cudaStream_t>(stream));
}

}  // extern "C"
