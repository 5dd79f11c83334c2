"""The CUDA rasterizer's source, run thread by thread on the CPU, against the CPU library: the same bits."""

from __future__ import annotations

import ctypes
import shutil

import numpy as np
import pytest

from nerf2mesh.kernels import _lib
from nerf2mesh.render.raster_arrays import GREY, CImages, CMesh, CViews, MeshArrays, ViewArrays, allocate_images
from nerf2mesh.render.rasterizer import rasterize_arrays

from .raster_cases import CASES, OUTPUTS, ball, views

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_lib.cpu() is None or shutil.which("g++") is None, reason="no native library, or no g++"),
]


def emulated(mesh: MeshArrays, seen: ViewArrays, outputs: tuple[str, ...] = OUTPUTS) -> dict[str, np.ndarray]:
    """The images as the device's kernels make them; memory that they have to fill holds rubbish before."""
    from .emulation import library

    n, samples = len(seen.cameras), seen.supersample
    images = allocate_images(outputs, n, seen.height, seen.width)
    for image in images.values():
        image.fill(77)
    keys = np.full((n, seen.height * samples, seen.width * samples), 5, np.uint64)
    point = lambda a: None if a is None else a.ctypes.data
    texture = (0, 0, 0) if mesh.texture is None else mesh.texture.shape
    empty = np.zeros(1)
    arrays = [empty if a is not None and not a.size else a for a in mesh]
    c_mesh = CMesh(*map(point, arrays), len(mesh.vertices), len(mesh.faces), *texture, GREY)
    sizes = (n, seen.height, seen.width, samples, int(seen.orthographic), seen.ambient, seen.near)
    c_views = CViews(point(seen.cameras), point(seen.lights), *sizes)
    c_images = CImages(**{name: point(image) for name, image in images.items()})
    given = (ctypes.byref(c_mesh), ctypes.byref(c_views), ctypes.byref(c_images), ctypes.c_void_p(keys.ctypes.data))
    assert library(900).n2m_rasterize_cuda(*given, None) == 0
    return images


@pytest.mark.parametrize("name", CASES)
def test_the_same_bits(name: str) -> None:
    mesh, seen = CASES[name]
    got, wanted = emulated(mesh, seen), rasterize_arrays(mesh, seen, outputs=OUTPUTS)
    for output in OUTPUTS:
        assert np.array_equal(got[output].view(np.int32), wanted[output].view(np.int32)), output


@pytest.mark.parametrize("output", OUTPUTS)
def test_each_image_alone(output: str) -> None:
    mesh, seen = ball(2), views(2, 15, supersample=2)
    got, wanted = emulated(mesh, seen, (output,)), rasterize_arrays(mesh, seen, outputs=(output,))
    assert np.array_equal(got[output], wanted[output])
