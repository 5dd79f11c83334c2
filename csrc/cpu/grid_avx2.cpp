#define N2M_LANES 8
#define N2M_ISA avx2
#include "cpu/grid_cpu.inc"

namespace n2m {
extern constexpr GridKernels grid_avx2 = avx2::make_kernels();
}
