#define N2M_LANES 16
#define N2M_ISA avx512
#include "cpu/winograd_cpu.inc"

namespace n2m {
extern constexpr WinogradKernels winograd_avx512 = {avx512::read, avx512::write, avx512::write_adjoint, avx512::multiply, avx512::accumulate};
}
