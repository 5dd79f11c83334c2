"""The operators' implementations for CPU and CUDA, registered: a native library's kernels, or the torch twins."""

from __future__ import annotations

from ._native_adam import adam, adam_many
from ._native_grid import grid_backward, grid_forward, grid_input_grad, grid_jvp
from ._native_rays import composite, composite_backward, march, update_occupancy
from ._ops import LIBRARY

IMPLEMENTATIONS = {
    "grid_forward": grid_forward,
    "grid_jvp": grid_jvp,
    "grid_backward": grid_backward,
    "grid_input_grad": grid_input_grad,
    "march": march,
    "composite": composite,
    "composite_backward": composite_backward,
    "update_occupancy": update_occupancy,
    "adam": adam,
    "adam_many": adam_many,
}
for _name, _function in IMPLEMENTATIONS.items():
    LIBRARY.impl(_name, _function, "CPU")
    LIBRARY.impl(_name, _function, "CUDA")
