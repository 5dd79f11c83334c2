// Occupancy update and the optimizer step on the CPU.
#include <string.h>

#include "core/check.h"
#include "cpu/flat_cpu.h"
#include "cpu/parallel.h"

using namespace n2m;

extern "C" {

int32_t n2m_update_occupancy(int64_t n_cells, float* ema, uint8_t* bits, int64_t n, const int64_t* cells,
                             const float* values, float decay, float threshold, int32_t below_mean) {
  if (!check_occupancy(n_cells, n, decay, threshold)) return N2M_INVALID;
  if (!check_pointers({{"ema", ema, n_cells > 0}, {"bits", bits, n_cells > 0}, {"cells", cells, n > 0}, {"values", values, n > 0}}))
    return N2M_INVALID;
  if (!check_indices("cells", cells, n, n_cells)) return N2M_INVALID;
  constexpr int64_t GRAIN = 32768;
  parallel_chunks(n_cells, GRAIN, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ema[i] *= decay;
  });
  for (int64_t i = 0; i < n; ++i) {
    float& cell = ema[cells[i]];
    if (values[i] > cell) cell = values[i];
  }
  if (below_mean && n_cells > 0) {
    double total = 0.0;
    for (int64_t i = 0; i < n_cells; ++i) total += ema[i];
    const float mean = static_cast<float>(total / static_cast<double>(n_cells));
    threshold = mean < threshold ? mean : threshold;
  }
  parallel_chunks(n_cells / 8, GRAIN / 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      uint8_t byte = 0;
      for (int b = 0; b < 8; ++b) byte = static_cast<uint8_t>(byte | (ema[8 * i + b] > threshold) << b);
      bits[i] = byte;
    }
  });
  return N2M_OK;
}

int32_t n2m_adam(int64_t n, float* param, float* grad, float* mean, float* square, float lr, float beta1, float beta2,
                 float eps, float decay, float bias1, float bias2, float grad_scale, int32_t row_size,
                 int32_t skip_zero_rows, int32_t zero_grad) {
  if (!check_adam(n, lr, beta1, beta2, eps, decay, bias1, bias2, grad_scale, row_size)) return N2M_INVALID;
  if (!check_pointers({{"param", param, n > 0}, {"grad", grad, n > 0}, {"mean", mean, n > 0}, {"square", square, n > 0}})) return N2M_INVALID;
  const AdamRates rates = adam_rates(lr, beta1, beta2, eps, decay, bias1, bias2, grad_scale);
  const AdamArgs args{param, grad, mean, square, rates, row_size, skip_zero_rows != 0, zero_grad != 0};
  const int64_t grain = static_cast<int64_t>(row_size) * ((16384 + row_size - 1) / row_size);
  parallel_chunks(n, grain, [&](int64_t begin, int64_t end) { flat_kernels().adam(args, begin, end); });
  return N2M_OK;
}

}  // extern "C"
