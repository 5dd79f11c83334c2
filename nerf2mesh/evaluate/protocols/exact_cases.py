"""Cases whose truth is a signed distance: views traced on it, the solid by its sign, no mesh in between.

A scene of the shape grammar is put into the canonical frame of its surface (`canonical_frame`). The input view
and the novel views are traced, in front of nothing, with the grammar's base colors; `lit` adds the scene's own light,
as in pictures for training. Surface metrics (Chamfer, F, normals) are against marching cubes of the distance on 128^3
samples, whose vertices lie within about 1e-3 of the surface. All this takes seconds and is kept in `cache`, one file an
object, under a digest of everything that it depends on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.evaluate.protocols.canonical import canonical_frame, input_camera
from nerf2mesh.evaluate.protocols.procedural_objects import scene_in_canonical_frame, scene_mesh, solid
from nerf2mesh.evaluate.protocols.scoring import Case, Settings, picture
from nerf2mesh.evaluate.protocols.truth_cache import kept_arrays
from nerf2mesh.procedural.gbuffer import GBuffer
from nerf2mesh.procedural.render import Scenes
from nerf2mesh.types import Camera, Rendering

T = TypeVar("T")
_FORMAT = 3
"""Raised when what a cache file holds changes its meaning."""


@dataclass(frozen=True, kw_only=True)
class ExactTruth:
    """What a protocol asks of its procedural objects."""

    novel: Camera
    settings: Settings
    lit: bool
    input_px: int = 256
    cache: Path | None = None
    """A folder; None computes everything anew."""

    def case(self, name: str, scenes: Scenes, look: str = "photo") -> Case:
        """The case of one scene; in another look than photo the input picture is a drawing of the same view."""
        arrays = kept_arrays(self.cache, self._digest(scenes), lambda: self._truth(scenes))
        if look != "photo":
            drawn = f"{self._digest(scenes)}-{look}"
            arrays = arrays | kept_arrays(self.cache, drawn, lambda: self._drawn(scenes, look))
        return self._as_case(name, arrays)

    def _truth(self, scenes: Scenes) -> dict[str, np.ndarray]:
        """The arrays of one cache file."""
        from nerf2mesh.procedural.exact import render_exact

        mesh = scene_mesh(scenes)
        scenes = scene_in_canonical_frame(scenes, mesh)
        mesh = canonical_frame(mesh)
        given = picture(self._rendering(render_exact(scenes, input_camera(self.input_px)[None])))[0]
        views = self._rendering(render_exact(scenes, self.novel))
        return {
            "image": _bytes(given),
            "rgb": _bytes(views.rgb),
            "alpha": views.opacity.half().numpy(),  # exact: the mask is cut at one half, which 8 bits cannot hold
            "depth": views.depth.half().numpy(),
            "normal": (_given(views.normal) * 127).round().to(torch.int8).numpy(),
            "vertices": mesh.vertices.astype(np.float32),
            "faces": mesh.faces.astype(np.int32),
            "colors": _bytes(torch.from_numpy(_given(mesh.vertex_colors))),
            "solid": np.packbits(solid(scenes, self.settings.iou_resolution).numpy()),
        }

    def _drawn(self, scenes: Scenes, look: str) -> dict[str, np.ndarray]:
        """The input picture in another look; the seed of the strokes is fixed."""
        from nerf2mesh.procedural.drawing import draw
        from nerf2mesh.procedural.exact import render_exact

        scenes = scene_in_canonical_frame(scenes, scene_mesh(scenes))
        return {"image": _bytes(draw(render_exact(scenes, input_camera(self.input_px)[None]), look)[0])}

    def _rendering(self, buffer: GBuffer) -> Rendering:
        return Rendering(buffer["rgb" if self.lit else "albedo"], buffer["alpha"], buffer["depth"], buffer["normal"])

    def _as_case(self, name: str, arrays: dict[str, np.ndarray]) -> Case:
        from nerf2mesh.mesh import TriangleMesh

        colors = arrays["colors"].astype(np.float32) / 255
        vertices, faces = arrays["vertices"].astype(np.float64), arrays["faces"].astype(np.int64)
        mesh = TriangleMesh(vertices, faces, vertex_colors=colors)
        rgb, alpha = torch.from_numpy(arrays["rgb"]).float() / 255, torch.from_numpy(arrays["alpha"]).float()
        normal, depth = torch.from_numpy(arrays["normal"]).float() / 127, torch.from_numpy(arrays["depth"]).float()
        truth = Rendering(rgb, alpha, depth, normal)
        n = self.settings.iou_resolution
        inside = torch.from_numpy(np.unpackbits(arrays["solid"], count=n**3)).reshape(n, n, n).bool()
        image = torch.from_numpy(arrays["image"]).float() / 255
        camera = input_camera(self.input_px)
        return Case(name, mesh, image, camera, self.novel, truth, self.settings, solid=inside)

    def _digest(self, scenes: Scenes) -> str:
        """A name for what the truth depends on: the scene's numbers, the cameras, the settings."""
        digest = hashlib.sha256(repr((_FORMAT, self.input_px, self.novel.width_px, self.lit, self.settings)).encode())
        for value in (*vars(scenes).values(), self.novel.camera_to_world, self.novel.focal_px):
            digest.update(value.numpy().tobytes())
        return digest.hexdigest()[:24]


def _given(value: T | None) -> T:
    assert value is not None, "the truth is drawn with normals and colors"
    return value


def _bytes(values: Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255).round().byte().numpy()
