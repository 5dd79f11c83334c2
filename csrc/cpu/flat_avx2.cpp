#define N2M_LANES 8
#define N2M_ISA avx2
#include "cpu/flat_cpu.inc"

namespace n2m {
extern constexpr FlatKernels flat_avx2 = {avx2::adam, avx2::alpha};
}
