// Occupancy update and the optimiser step on the device.
#include "cuda/launch.cuh"

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
  float step, shrink, beta1, beta2, eps, inv_root_bias2, grad_scale;
  int32_t row_size;
  bool skip_zero_rows, zero_grad;
};

// A thread owns a row: it alone sees whether the row was touched.
__global__ void __launch_bounds__(THREADS) adam(const __grid_constant__ AdamArgs a) {
  const int64_t begin = global_index() * a.row_size;
  if (begin >= a.n) return;
  bool touched = !a.skip_zero_rows;
  for (int32_t f = 0; f < a.row_size && !touched; ++f) touched = a.grad[begin + f] != 0.0f;
  if (!touched) return;
  for (int64_t i = begin; i < begin + a.row_size; ++i) {
    const float g = a.grad[i] * a.grad_scale;
    const float m = a.mean[i] * a.beta1 + g * (1.0f - a.beta1), v = a.square[i] * a.beta2 + g * g * (1.0f - a.beta2);
    a.mean[i] = m, a.square[i] = v;
    a.param[i] = a.param[i] * a.shrink - m * a.step / (sqrtf(v) * a.inv_root_bias2 + a.eps);
    if (a.zero_grad) a.grad[i] = 0.0f;
  }
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

N2M_API int32_t n2m_update_occupancy_cuda(int64_t n_cells, float* ema, uint8_t* bits, int64_t n, const int64_t* cells,
                                          const float* values, float decay, float threshold, int32_t below_mean, void* stream) {
  if (below_mean) return N2M_UNSUPPORTED;  // the mean is torch's to take
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
  if (n == 0) return N2M_OK;
  const AdamArgs a{n, param, grad, mean, square, lr / bias1, 1.0f - lr * decay, beta1, beta2, eps, 1.0f / sqrtf(bias2), grad_scale,
                   row_size, skip_zero_rows != 0, zero_grad != 0};
  adam<<<blocks_for(n / row_size), THREADS, 0, static_cast<cudaStream_t>(stream)>>>(a);
  return launch_status();
}

}  // extern "C"
