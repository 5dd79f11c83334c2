"""Native operators: hash-grid encoding, ray marching, compositing, occupancy, Adam. See csrc/README.md.

Every operator runs on CPU and CUDA tensors, carries gradients, and has a twin of the same name in `reference`.
Importing this package loads no library; the first call on a device does.
"""

from __future__ import annotations

from . import _native as _native
from ._lib import available
from .adam import FusedAdam, adam_step
from .composite import Composited, composite
from .hashgrid import hash_grid_encode, hash_grid_jvp, hash_grid_vjp
from .layout import GridLayout
from .march import Samples, march_rays
from .occupancy import update_occupancy

__all__ = [
    "Composited",
    "FusedAdam",
    "GridLayout",
    "Samples",
    "adam_step",
    "available",
    "composite",
    "hash_grid_encode",
    "hash_grid_jvp",
    "hash_grid_vjp",
    "march_rays",
    "update_occupancy",
]
