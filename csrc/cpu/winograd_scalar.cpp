#define N2M_LANES 4
#define N2M_ISA scalar
#include "cpu/winograd_cpu.inc"

namespace n2m {
extern constexpr WinogradKernels winograd_scalar = {scalar::read, scalar::write, scalar::write_adjoint, scalar::multiply, scalar::accumulate};
}
