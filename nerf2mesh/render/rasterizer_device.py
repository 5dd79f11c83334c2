"""The mesh rasterizer on a GPU: arrays sent there, the CUDA kernels of csrc/cuda/raster.cu, images left there.

The kernels compute what the CPU's library does, face by face and sample by sample; see `rasterizer`. Nothing waits.
"""

from __future__ import annotations

import ctypes
import warnings
from functools import cache

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.kernels import _lib
from nerf2mesh.render.raster_arrays import GREY, CImages, CMesh, CViews, MeshArrays, ViewArrays, image_shapes
from nerf2mesh.utils.device_copy import to_device

TYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.int32): torch.int32}


@cache
def has_kernels() -> bool:
    """Whether the CUDA library is there and draws meshes; where it is older, one warning."""
    library = _lib.cuda()
    if library is not None and not hasattr(library, "n2m_rasterize_cuda"):
        hint = "the CUDA library is older than its rasterizer: meshes are drawn on the CPU; build it again"
        warnings.warn(hint, stacklevel=2)
        return False
    return library is not None


def rasterize_on_device(
    mesh: MeshArrays, views: ViewArrays, outputs: tuple[str, ...], device: torch.device
) -> dict[str, Tensor]:
    """The images named in `outputs`, each [n, h, w, ...] on the CUDA `device`; of arrays that `check_arrays` passed."""
    library = _lib.cuda()
    assert library is not None, "has_kernels was not asked"
    sent = [_sent(array, device) for array in (*mesh, views.cameras, views.lights)]
    n, height, width, samples = len(views.cameras), views.height, views.width, views.supersample
    shapes = image_shapes(outputs, n, height, width)
    images = {k: torch.empty(shape, dtype=TYPES[dtype], device=device) for k, (shape, dtype) in shapes.items()}
    keys = torch.empty(n, height * samples, width * samples, dtype=torch.int64, device=device)
    pointers = [None if t is None else t.data_ptr() for t in sent]
    texture = (0, 0, 0) if mesh.texture is None else mesh.texture.shape
    c_mesh = CMesh(*pointers[:6], len(mesh.vertices), len(mesh.faces), *texture, GREY)
    numbers = (n, height, width, samples, int(views.orthographic), views.ambient, views.near)
    c_views = CViews(*pointers[6:], *numbers)
    c_images = CImages(**{name: image.data_ptr() for name, image in images.items()})
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        structures = (ctypes.byref(c_mesh), ctypes.byref(c_views), ctypes.byref(c_images))
        _lib.check(library, library.n2m_rasterize_cuda(*structures, keys.data_ptr(), stream), "rasterize")
    return images


def _sent(array: np.ndarray | None, device: torch.device) -> Tensor | None:
    """The array on the device; an empty one too has an address."""
    if array is None:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        there = to_device(torch.from_numpy(array), device)
    return there if there.numel() else there.new_empty(1)
