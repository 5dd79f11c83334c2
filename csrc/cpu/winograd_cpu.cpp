// Entry points of the convolutions: blocks of tiles on all threads; see winograd_cpu.h.
#include "cpu/winograd_cpu.h"

#include <string.h>

#include <algorithm>

#include "core/check.h"
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

constexpr int MAX_SIZE = 4096, MAX_CHANNELS = 1 << 14;

bool supported(const WinogradShape& s) {
  return s.size <= MAX_SIZE && s.n_in > 0 && s.n_in <= MAX_CHANNELS && s.n_out > 0 && s.n_out <= MAX_CHANNELS && (s.n_dims == 2 || s.n_dims == 3) && s.size > 0 && s.size % 2 == 0 && s.n_in % 16 == 0 && s.n_out % 16 == 0;
}

// What a call may be refused for, or N2M_OK.
int32_t checked(const WinogradShape& s, int64_t n, std::initializer_list<Named> pointers) {
  if (!supported(s)) {
    refuse("n_dims, size, channels: expected 2 or 3, an even number and multiples of 16, got %d, %d, %d and %d", s.n_dims, s.size, s.n_in, s.n_out);
    return N2M_UNSUPPORTED;
  }
  return check_count("n", n, 0, 1 << 20) && check_pointers(pointers) ? N2M_OK : N2M_INVALID;
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
  const int32_t status = checked(s, n, {{"x", x, n > 0}, {"weight", weight, n > 0}, {"y", y, n > 0}});
  if (status != N2M_OK) return status;
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
  const int32_t status = checked(s, n, {{"x", x, n > 0}, {"grad_y", grad_y, n > 0}, {"grad_weight", grad_weight, true}});
  if (status != N2M_OK) return status;
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
