#define N2M_LANES 16
#define N2M_ISA avx512
#include "cpu/flat_cpu.inc"

namespace n2m {
extern constexpr FlatKernels flat_avx512 = {avx512::adam, avx512::alpha};
}
