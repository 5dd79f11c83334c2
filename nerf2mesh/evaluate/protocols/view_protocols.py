"""Published protocols as code: which views are given, which are compared, at what scale, and by which arithmetic.

Each is a ViewProtocol; `cases` turns true meshes into test cases of it. What a paper leaves open is listed in
`unstated` with what was taken here: figures of such a protocol compare methods with each other, with the paper in part.
SyncDreamer's and Magic123's own pictures are read from a folder by `syncdreamer_cases` and `magic123_cases`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.align import box_frame
from nerf2mesh.evaluate.protocols.canonical import input_camera, ring_cameras
from nerf2mesh.evaluate.protocols.conventions import syncdreamer_cameras
from nerf2mesh.evaluate.protocols.datasets import read_rgba
from nerf2mesh.evaluate.protocols.scoring import Case, Settings, picture, render_views
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera, Rendering, View


@dataclass(frozen=True, kw_only=True)
class ViewProtocol:
    """`inputs` [n]: the given views, the first is the reference; `novel` [m]: the compared ones.

    The true mesh is centered by its bounding box and scaled so that the box's longest side is `side`.
    """

    name: str
    source: str
    inputs: Camera
    novel: Camera
    convention: str = "nerf2mesh"
    side: float = 1.0
    background: float = 1.0
    unstated: tuple[str, ...] = ()


def view_protocols() -> dict[str, ViewProtocol]:
    """All of them by name."""
    listed = (_syncdreamer(), _zero123(), _one2345(), _instantmesh(), _triposr(), _zeroshape(), _lrm(8), _lrm(4))
    return {protocol.name: protocol for protocol in listed}


def cases(
    protocol: ViewProtocol, meshes: Iterable[tuple[str, TriangleMesh]], settings: Settings | None = None
) -> list[Case]:
    """Test cases from named TriangleMeshes in world axes, with views drawn by the library's rasterizer (flat color)."""
    settings = replace(settings or Settings(), convention=protocol.convention, background=protocol.background)
    found = []
    for name, mesh in meshes:
        center, scale = box_frame(torch.from_numpy(mesh.vertices), protocol.side)
        mesh = replace(mesh, vertices=(mesh.vertices - center.numpy()) * scale)
        given = [View(picture(render_views(mesh, camera, settings)), camera) for camera in _each(protocol.inputs)]
        truth = render_views(mesh, protocol.novel, settings)
        views = tuple(given) if len(given) > 1 else ()
        found.append(Case(name, mesh, given[0].image, given[0].camera, protocol.novel, truth, settings, views))
    return found


def syncdreamer_cases(
    root: Path | str, meshes: dict[str, TriangleMesh], settings: Settings | None = None
) -> list[Case]:
    """Cases from SyncDreamer's own renders: ROOT/NAME/000.png to 015.png, one mesh per name, in world axes.

    The published list turns each object by hand so that view 0 sees its front: the meshes must be turned likewise.
    """
    settings = replace(settings or Settings(), convention="syncdreamer-gso")
    protocol, found = _syncdreamer(), []
    for name, mesh in meshes.items():
        files = [Path(root) / name / f"{k:03d}.png" for k in range(16)]
        missing = [str(file) for file in files if not file.is_file()]
        if missing:
            raise ValueError(
                f"root: expected 16 views of {name}, got {16 - len(missing)}; the first that is missing is {missing[0]}"
            )
        views = torch.stack([read_rgba(file) for file in files])
        center, scale = box_frame(torch.from_numpy(mesh.vertices), protocol.side)
        mesh = replace(mesh, vertices=(mesh.vertices - center.numpy()) * scale)
        truth = _as_rendering(views)
        found.append(Case(name, mesh, views[0], protocol.inputs[0], protocol.novel, truth, settings))
    return found


def magic123_cases(pictures: dict[str, Float[Tensor, "h w 4"]], settings: Settings | None = None) -> list[Case]:
    """Magic123's RealFusion15 and NeRF4: only the reference view is compared, at 800 px; there is no true shape.

    Polar angle 90 degrees, distance 1.8, field of view 40 degrees; a pixel without opacity is white, and all others
    keep their color without blending. Square pictures are wanted. The novel views' CLIP similarity needs weights.
    """
    settings = settings or Settings()
    found = []
    for name, image in pictures.items():
        if image.shape[0] != image.shape[1]:
            raise ValueError(f"pictures: expected square ones, got {name} with {tuple(image.shape[:2])}; pad it first")
        camera = Camera.orbit(0.0, 0.0, distance=1.8, fov_deg=40.0, width_px=image.shape[0])
        big = torch.nn.functional.interpolate(image.movedim(-1, 0)[None], size=(800, 800), mode="area")[0].movedim(
            0, -1
        )
        seen = torch.cat([big[..., :3], (big[..., 3:] > 0).float()], dim=-1)
        reference = Camera.orbit(torch.zeros(1), 0.0, distance=1.8, fov_deg=40.0, width_px=800)
        found.append(Case(name, None, image, camera, reference, _as_rendering(seen[None]), settings))
    return found


def random_cameras(count: int, *, seed: int = 0, size_px: int = 256) -> Camera:
    """Views spread uniformly over the sphere from -30 to 60 degrees of elevation, as far away as those of `core`."""
    u = torch.rand(2, count, generator=torch.Generator().manual_seed(seed))
    low, high = np.sin(np.radians(-30.0)), np.sin(np.radians(60.0))
    return Camera.orbit(360.0 * u[0], torch.rad2deg(torch.asin(low + (high - low) * u[1])), width_px=size_px)


def _syncdreamer() -> ViewProtocol:
    cameras = syncdreamer_cameras()
    source = "SyncDreamer's eval_nvs.py and camera-16.pkl: 16 views at 30 degrees, 256 px, white, unit box"
    return ViewProtocol(
        name="syncdreamer-gso", source=source, inputs=cameras[:1], novel=cameras, convention="syncdreamer-gso"
    )


def _zero123(views: int = 16) -> ViewProtocol:
    u = torch.rand(3, views + 1, generator=torch.Generator().manual_seed(0))
    azimuth, elevation, distance = 360.0 * u[0], torch.rad2deg(torch.asin(2 * u[1] - 1)), 1.5 + 0.7 * u[2]
    fov_deg = float(2 * np.degrees(np.arctan(16 / 35)))
    cameras = Camera.orbit(azimuth, elevation, distance=distance, fov_deg=fov_deg, width_px=256)
    return ViewProtocol(
        name="zero123-gso",
        source="Zero-1-to-3's report, 20 scanned objects; cameras of its blender_script.py: unit box, whole sphere, "
        "distance 1.5 to 2.2, 35 mm lens on a 32 mm sensor",
        inputs=cameras[:1],
        novel=cameras[1:],
        unstated=("object list", "input and test views: 1 and 16 seeded ones", "light: none", "geometry: core's"),
    )


def _one2345() -> ViewProtocol:
    azimuth, elevation = 30.0 * torch.arange(12).repeat(2), torch.tensor([30.0, 0.0]).repeat_interleave(12)
    lens = {"distance": 1.5, "fov_deg": float(2 * np.degrees(np.arctan(16 / 35))), "width_px": 512}
    return ViewProtocol(
        name="one-2-3-45",
        source="One-2-3-45's single_render_eval.py: 12 views at 30 and 12 at 0 degrees, 512 px, distance 1.5, 35 mm "
        "lens on a 32 mm sensor, longest side 0.8",
        inputs=Camera.orbit(torch.zeros(1), 20.0, **lens),
        novel=Camera.orbit(azimuth, elevation, **lens),
        convention="one-2-3-45",
        side=0.8,
        unstated=("input view: azimuth 0, elevation 20, the same lens", "light: none", "F-score: see the convention"),
    )


def _instantmesh() -> ViewProtocol:
    return ViewProtocol(
        name="instantmesh",
        source="InstantMesh's report: 20 orbiting views, 320 px",
        inputs=input_camera(320)[None],
        novel=Camera.orbit(18.0 * torch.arange(20), 0.0, width_px=320),
        convention="instantmesh",
        side=1.6,
        unstated=("elevation of the orbit: 0", "camera: core's", "input view: elevation 20", "object list"),
    )


def _triposr() -> ViewProtocol:
    return ViewProtocol(
        name="triposr",
        source="TripoSR's report: geometry only; its object list was never released",
        inputs=input_camera()[None],
        novel=ring_cameras(),
        convention="triposr",
        side=1.2,
        unstated=("views: core's", "object list"),
    )


def _zeroshape() -> ViewProtocol:
    return replace(_triposr(), name="zeroshape", source="ZeroShape's eval_3D.py: geometry only", convention="zeroshape")


def _lrm(count: int) -> ViewProtocol:
    upper = Camera.orbit(90.0 * torch.arange(4) + 45.0, 40.0)
    eight = [*_each(Camera.orbit(90.0 * torch.arange(4), 0.0)), *_each(upper)]
    four = _each(Camera.orbit(90.0 * torch.arange(4), 20.0))
    return ViewProtocol(
        name=f"lrm-{count}view",
        source="LRM-Zero's and GS-LRM's reports: structured inputs, random test views, 256 px",
        inputs=Camera.stack(eight if count == 8 else four),
        novel=random_cameras(16),
        side=1.2,
        unstated=(
            "test views: 16 seeded ones between -30 and 60 degrees",
            "camera: core's",
            "geometry: core's",
        ),
    )


def _each(cameras: Camera) -> list[Camera]:
    return [cameras[k] for k in range(cameras.batch_shape[0])]


def _as_rendering(rgba: Float[Tensor, "n h w 4"]) -> Rendering:
    """Pictures with straight alpha as the truth; they carry no depth and no normals."""
    return Rendering(rgba[..., :3] * rgba[..., 3:], rgba[..., 3], torch.zeros_like(rgba[..., 3]))
