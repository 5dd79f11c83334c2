#define N2M_LANES 4
#define N2M_ISA scalar
#include "cpu/grid_cpu.inc"

namespace n2m {
extern constexpr GridKernels grid_scalar = scalar::make_kernels();
}
