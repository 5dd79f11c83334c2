#define N2M_LANES 16
#define N2M_ISA avx512
#include "cpu/grid_cpu.inc"

namespace n2m {
extern constexpr GridKernels grid_avx512 = avx512::make_kernels();
}
