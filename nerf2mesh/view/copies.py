"""A field to look at, apart from the one that is optimized; and the states of a run that are kept to be looked at.

The copy has a lock of its own: pictures and meshes are made from it in other threads than the loop's, which only waits
for the moment in which its parameters are copied.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

import torch

from nerf2mesh.config import Config
from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh import MeshConfig, TriangleMesh, extract_mesh
from nerf2mesh.optimize import LAST
from nerf2mesh.optimize.state import check_object
from nerf2mesh.render import OccupancyGrid, VolumeRenderer
from nerf2mesh.types import Camera, Rendering
from nerf2mesh.utils.atomic_write import atomic_write_bytes
from nerf2mesh.utils.checkpoint import read_checkpoint, readable
from nerf2mesh.utils.tensor_file import pack

CUT_RESOLUTION = 80
CUT_FACES = 12_000
_NAME = re.compile(r"field_(\d{6,})\.safetensors")


class FieldCopy:
    """A field with its occupancy grid and renderer, at step `step` of its run; -1: nothing yet."""

    def __init__(self, config: Config, device: torch.device | str = "cpu") -> None:
        self.field = HashGridField(config.field, torch.Generator().manual_seed(config.seed)).to(device)
        self.occupancy = OccupancyGrid(config.renderer.occupancy_resolution).to(device)
        self.renderer = VolumeRenderer(config.renderer, self.field.eval(), self.occupancy)
        self.step = -1
        self._lock = threading.Lock()

    def take(self, field: HashGridField, occupancy: OccupancyGrid, step: int, *, wait: bool = True) -> bool:
        """Copies a state; without `wait` not while a picture is made. Returns whether it did."""
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            self.field.bound = field.bound
            self._load(field.state_dict(), occupancy.state_dict(), step)
        finally:
            self._lock.release()
        return True

    def read(self, path: Path) -> None:
        """From a kept state or a checkpoint of a run with these settings; ValueError where it is none."""
        values = read_checkpoint(path)
        with readable(path):
            check_object(values, self.field, self.occupancy)
        with self._lock:
            self._load(values["field"], values["occupancy"], int(values["step"]))

    def _load(self, field: dict[str, torch.Tensor], occupancy: dict[str, torch.Tensor], step: int) -> None:
        self.field.load_state_dict(field)
        self.occupancy.load_state_dict(occupancy)
        self.step = step

    def render(self, camera: Camera, *, normals: bool = False) -> Rendering:
        """The picture of one camera, on the CPU's side of things small: [h, w, ...]."""
        with self._lock:
            return self.renderer.render(camera, normals="analytic" if normals else None)

    def cut(self, density: float | None) -> tuple[TriangleMesh, float]:
        """A quick mesh with vertex colors at that density (1 / world unit), and the density; None: by silhouettes.

        ValueError where there is no surface.
        """
        config = MeshConfig(
            resolution=CUT_RESOLUTION, threshold=density, target_faces=CUT_FACES, smooth_radius=0.025, texture=False,
            calibration_resolution=48, calibration_views=6, calibration_size_px=64, bake_views=0, bake_samples=4,
        )  # fmt: skip
        with self._lock:
            bits = self.occupancy.bits.clone()
            self.occupancy.bake_full(self.field, threshold=self.renderer.config.density_threshold)
            try:
                mesh, report = extract_mesh(self.field, self.occupancy, self.renderer, config)
            finally:
                self.occupancy.bits.copy_(bits)
        threshold = report["threshold"]
        assert isinstance(threshold, dict)
        return mesh, float(threshold["density"])


def keep_state(folder: Path, field: HashGridField, occupancy: OccupancyGrid, step: int) -> Path:
    """Writes the field alone into the run folder; a tenth of a checkpoint's size."""
    path = folder / f"checkpoints/field_{step:06d}.safetensors"
    values = {"field": field.state_dict(), "occupancy": occupancy.state_dict(), "step": step}
    return atomic_write_bytes(path, pack(values))


def kept_states(folder: Path) -> list[Path]:
    """What can be looked at, in the order of the steps; the last checkpoint at the end."""
    names = {int(match[1]): path for path in folder.glob("checkpoints/*") if (match := _NAME.fullmatch(path.name))}
    last = [folder / LAST] if (folder / LAST).is_file() else []
    return [*(names[step] for step in sorted(names)), *last]
