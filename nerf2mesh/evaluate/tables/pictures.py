"""Pictures of what a method made: the compared views on one sheet, and a turntable as a strip of frames."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.text_metrics import TextCase
from nerf2mesh.evaluate.protocols.scoring import Case, Prediction, Settings, as_prediction, render_views
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera
from nerf2mesh.utils.atomic_write import atomic_write

SHEET_VIEWS = 32
TURN_FRAMES = 16
TURN_PX = 128
TURN_ELEVATION_DEG = 15.0


def write_png(path: Path, image: Float[Tensor, "h w c"]) -> None:
    """An image in [0, 1] with 3 or 4 channels as an 8-bit PNG."""
    _write(path, image, "PNG")


def write_sheet(path: Path, case: Case | TextCase, prediction: Prediction | TriangleMesh) -> None:
    """A Prediction or a mesh in the protocol's novel views (of many, evenly some), eight in a row, each 128 px wide."""
    prediction, cameras = as_prediction(prediction), case.novel_cameras
    if len(cameras.camera_to_world) > SHEET_VIEWS:
        cameras = cameras[:: -(-len(cameras.camera_to_world) // SHEET_VIEWS)]
    if prediction.mesh is None:
        views = prediction.rendered(cameras)
    else:
        views = render_views(prediction.mesh, cameras, case.settings)
    images = views.over(case.settings.background).cpu().movedim(-1, 1)
    small = torch.nn.functional.interpolate(images, size=(128, 128), mode="area").movedim(1, -1)
    blank = torch.ones(-len(small) % 8, 128, 128, 3)
    rows = torch.cat([small, blank]).split(8)
    write_png(path, torch.cat([torch.cat(list(row), dim=1) for row in rows]))


def write_turntable(path: Path, mesh: TriangleMesh, settings: Settings) -> None:
    """TURN_FRAMES flat views of a mesh in the canonical frame, side by side: azimuth 0 first, then around by equal
    steps, at TURN_ELEVATION_DEG; a JPEG file of TURN_PX times TURN_FRAMES * TURN_PX pixels."""
    azimuths = torch.arange(TURN_FRAMES) * (360.0 / TURN_FRAMES)
    cameras = Camera.orbit(azimuths, torch.full_like(azimuths, TURN_ELEVATION_DEG), width_px=TURN_PX)
    frames = render_views(mesh, cameras, settings).over(settings.background).cpu()
    _write(path, torch.cat(list(frames), dim=1), "JPEG")


def _write(path: Path, image: Float[Tensor, "h w c"], kind: str) -> None:
    from PIL import Image

    options = {"quality": 85} if kind == "JPEG" else {}
    with atomic_write(path) as part:
        Image.fromarray((image.clamp(0, 1) * 255).round().byte().cpu().numpy()).save(part, kind, **options)
