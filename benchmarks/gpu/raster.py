"""The mesh rasterizer on a GPU: how far its images are from the CPU library's, and how long both take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from nerf2mesh.mesh.shapes import box, icosphere
from nerf2mesh.render.raster_arrays import MeshArrays, ViewArrays
from nerf2mesh.render.rasterizer import camera_arrays, rasterize_arrays, rasterize_to
from nerf2mesh.types import Camera

from ..kernels.timing import best_seconds

Figures = dict[str, object]
OUTPUTS = ("rgb", "opacity", "depth", "normal")
BORDER = 1e-3
"""Share of pixels that may be off by more than rounding: those where an edge passes through a sample."""


def meshes(level: int) -> dict[str, MeshArrays]:
    """A colored ball of 20 * 4^level faces, the same with a texture, and a box, whose twelve faces are large."""
    rng, found = np.random.default_rng(0), {}
    for name, shape in {"ball": icosphere(level, 0.7), "box": box((0.9, 1.1, 1.3))}.items():
        vertices, faces = np.ascontiguousarray(shape.vertices, np.float64), np.ascontiguousarray(shape.faces, np.int32)
        found[name] = MeshArrays(vertices, faces, None, rng.random((len(vertices), 3)).astype(np.float32))
    uv = rng.random((len(found["ball"].faces), 3, 2)).astype(np.float32)
    found["textured ball"] = found["ball"]._replace(uv=uv, texture=rng.integers(0, 256, (512, 512, 3), dtype=np.uint8))
    return found


def views(n: int, side: int) -> ViewArrays:
    camera = Camera.orbit(torch.arange(n) * (360.0 / n) + 7.0, torch.linspace(-40.0, 60.0, n), width_px=side)
    return ViewArrays(*camera_arrays(camera))


def parity(device: str, level: int = 6, side: int = 256, n: int = 8) -> Figures:
    """Pixels that differ at all, and by more than 1e-5, of all images together; for each mesh."""
    found: Figures = {}
    worst = 0.0
    for name, mesh in meshes(level).items():
        seen = views(n, side)
        wanted = rasterize_arrays(mesh, seen, outputs=OUTPUTS)
        got = {k: v.cpu().numpy() for k, v in rasterize_to(device, mesh, seen, outputs=OUTPUTS).items()}
        off = [np.abs(got[k] - wanted[k]).reshape(n, side, side, -1).max(-1) for k in OUTPUTS]
        found[f"{name}: pixels with other bits [share]"] = float(np.mean(np.max(off, axis=0) > 0))
        found[f"{name}: off by more than 1e-5 [share]"] = share = float(np.mean(np.max(off, axis=0) > 1e-5))
        worst = max(worst, share)
    return found | ({"failed": f"{worst:.2e} of the pixels differ, at most {BORDER:g} may"} if worst > BORDER else {})


def speed(device: str, level: int = 5, side: int = 128, n: int = 8, repeats: int = 9) -> Figures:
    """Eight views of 64 px at two samples a pixel and axis, as training sees them: the library on the CPU with all its
    threads, the device with the mesh's way there, and 20 meshes in a row without waiting in between."""
    found: Figures = {"threads of the CPU": torch.get_num_threads()}
    for name, mesh in meshes(level).items():
        seen = views(n, side)
        there = partial(rasterize_to, device, mesh, seen, outputs=OUTPUTS)
        work: dict[str, Callable[[], object]] = {
            "CPU": partial(rasterize_arrays, mesh, seen, outputs=OUTPUTS),
            "device": there,
            "20 on the device": lambda there=there: [there() for _ in range(20)],
        }
        seconds = best_seconds(work, repeats)
        found |= {f"{name}: {kind} [ms]": 1e3 * s for kind, s in seconds.items()}
        found[f"{name}: CPU over device"] = seconds["CPU"] / (seconds["20 on the device"] / 20)
    return found
