#define N2M_LANES 4
#define N2M_ISA scalar
#include "cpu/flat_cpu.inc"

namespace n2m {
extern constexpr FlatKernels flat_scalar = {scalar::adam, scalar::alpha};
}
