"""The mesh rasterizer on a GPU against the CPU library."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.render.rasterizer import rasterize_arrays, rasterize_mesh, rasterize_to
from nerf2mesh.render.rasterizer_device import has_kernels
from nerf2mesh.types import Camera

from .raster_cases import CASES, OUTPUTS, ball, views

pytestmark = pytest.mark.gpu
BORDER = 1e-3
"""Share of pixels that may show another face: rounding decides where a sample lies on an edge."""


def test_the_library_draws() -> None:
    assert has_kernels()


@pytest.mark.parametrize("name", CASES)
def test_equals_the_cpu(name: str) -> None:
    """The same faces up to BORDER of the pixels, and where they are the same, values within 1e-5."""
    mesh, seen = CASES[name]
    got = {k: v.cpu().numpy() for k, v in rasterize_to("cuda", mesh, seen, outputs=OUTPUTS).items()}
    wanted = rasterize_arrays(mesh, seen, outputs=OUTPUTS)
    same = (got["face"] == wanted["face"]) & (got["opacity"] == wanted["opacity"]) & (got["layers"] == wanted["layers"])
    assert 1.0 - same.mean() <= BORDER
    for output in ("rgb", "depth", "normal", "barycentric"):
        assert np.allclose(got[output][same], wanted[output][same], rtol=1e-5, atol=1e-5), output


def test_the_same_from_run_to_run() -> None:
    mesh, seen = CASES["large faces"]
    first = rasterize_to("cuda", mesh, seen, outputs=OUTPUTS)
    for _ in range(4):
        again = rasterize_to("cuda", mesh, seen, outputs=OUTPUTS)
        assert all(torch.equal(first[name], again[name]) for name in OUTPUTS)


def test_nothing_waits() -> None:
    mesh, seen = ball(3), views(4, 64, supersample=2)
    rasterize_to("cuda", mesh, seen)
    torch.cuda.set_sync_debug_mode("error")
    try:
        rasterize_to("cuda", mesh, seen)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_mesh_is_drawn_where_it_is_asked_for() -> None:
    camera = Camera.orbit(torch.tensor([0.0, 90.0]), torch.zeros(2), width_px=24)
    shown = rasterize_mesh(icosphere(2, 0.6), camera, supersample=2, shading="lambert", device="cuda")
    wanted = rasterize_mesh(icosphere(2, 0.6), camera, supersample=2, shading="lambert")
    assert shown.rgb.is_cuda and shown.extra["face"].is_cuda
    assert (shown.rgb.cpu() - wanted.rgb).abs().mean() < 1e-4
