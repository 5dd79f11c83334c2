// Entry points of the convolutions: blocks of tiles on all threads; see winograd_cpu.h.
#include "cpu/winograd_cpu.h"

#include <string.h>

#include <algorithm>

#include "cpu/parallel.h"
#include "n2m_abi.h"
#include "n2m_winograd_abi.h"

namespace n2m {
namespace {

const WinogradKernels& winograd_kernels() {
#if N2M_X86
  if (strcmp(n2m_cpu_isa(), "avx512") == 0) return winograd_avx512;
  if (strcmp(n2m_cpu_isa(), "avx2") == 0) return winograd_avx2;
#endif
  return winograd_scalar;
}

bool supported(const WinogradShape& s) {
  return (s.n_dims == 2 || s.n_dims == 3) && s.size > 0 && s.size % 2 == 0 && s.n_in % 16 == 0 && s.n_out % 16 == 0;
}

float* planes(int slot, const WinogradShape& s, int channels) {
  return static_cast<float*>(scratch(slot, s.points() * winograd_pitch(channels) * (int64_t)sizeof(float)));
}

}  // namespace
}  // namespace n2m

using namespace n2m;

extern "C" {

int32_t n2m_winograd_forward(int32_t n_dims, int64_t n, int32_t size, int32_t n_in, int32_t n_out, const float* x,
                             const float* weight, const float* bias, float* y) {
  const WinogradShape s{n_dims, size, n_in, n_out};
  if (!supported(s)) return N2M_UNSUPPORTED;
  const WinogradKernels& run = winograd_kernels();
  const int64_t n_tiles = s.tiles(n);
  std::atomic<bool> failed{false};
  parallel_chunks(n_tiles, WINOGRAD_BLOCK, [&](int64_t begin, int64_t end) {
    float *in = planes(4, s, n_in), *out = planes(5, s, n_out);
    if (in == nullptr || out == nullptr) return failed.store(true);
    const int count = (int)(end - begin);
    run.read(s, x, begin, count, in);
    for (int e = 0; e < s.points(); ++e) {
      const float* of_point = weight + (int64_t)e * n_in * n_out;
      run.multiply(in + e * winograd_pitch(n_in), of_point, out + e * winograd_pitch(n_out), count, n_out, n_in);
    }
    run.write(s, out, begin, count, bias, y);
  });
  return failed ? N2M_OUT_OF_MEMORY : N2M_OK;
}

// Each thread owns some of the points, so that the sums do not depend on the number of threads.
int32_t n2m_winograd_weight_gradient(int32_t n_dims, int64_t n, int32_t size, int32_t n_in, int32_t n_out, const float* x,
                                     const float* grad_y, float* grad_weight) {
  const WinogradShape s{n_dims, size, n_in, n_out};
  if (!supported(s)) return N2M_UNSUPPORTED;
  const WinogradKernels& run = winograd_kernels();
  float *in = planes(4, s, n_in), *out = planes(5, s, n_out);
  if (in == nullptr || out == nullptr) return N2M_OUT_OF_MEMORY;
  const int64_t n_tiles = s.tiles(n), row_in = winograd_pitch(n_in), row_out = winograd_pitch(n_out);
  memset(grad_weight, 0, sizeof(float) * s.points() * n_in * n_out);
  for (int64_t first = 0; first < n_tiles; first += WINOGRAD_BLOCK) {
    const int count = (int)std::min<int64_t>(WINOGRAD_BLOCK, n_tiles - first);
    run.read(s, x, first, count, in);
    run.write_adjoint(s, grad_y, first, count, out);
    parallel_tasks(s.points(), [&](int64_t e) {
      run.accumulate(in + e * row_in, out + e * row_out, grad_weight + e * n_in * n_out, count, n_in, n_out);
    });
  }
  return N2M_OK;
}
}
