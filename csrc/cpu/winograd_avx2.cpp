#define N2M_LANES 8
#define N2M_ISA avx2
#include "cpu/winograd_cpu.inc"

namespace n2m {
extern constexpr WinogradKernels winograd_avx2 = {avx2::read, avx2::write, avx2::write_adjoint, avx2::multiply, avx2::accumulate};
}
