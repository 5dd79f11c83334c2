"""What `fit` returns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as new
from pathlib import Path

from nerf2mesh.config import Config
from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh import TriangleMesh, save_mesh, scale_to
from nerf2mesh.render import VolumeRenderer
from nerf2mesh.report import viewer_iframe
from nerf2mesh.types import Camera, Observations, Rendering


@dataclass(repr=False)
class Result:
    """What a run gives: the mesh, the field behind it, and what was measured.

    mesh is in world axes (+Z up, front +X, inside [-1, 1]^3). metrics and facts are plain numbers by name.
    """

    mesh: TriangleMesh | None
    field: HashGridField
    renderer: VolumeRenderer
    observations: Observations
    config: Config
    metrics: dict[str, object] = new(default_factory=dict)
    facts: dict[str, object] = new(default_factory=dict)
    warnings: list[str] = new(default_factory=list)
    lods: list[TriangleMesh] = new(default_factory=list)
    """Coarser meshes, one for each budget of `mesh.lods`."""

    def __repr__(self) -> str:
        mesh = "no mesh" if self.mesh is None else f"{len(self.mesh.vertices)} vertices, {len(self.mesh.faces)} faces"
        return f"Result({mesh}, metrics={self.metrics})"

    def render(self, camera: Camera) -> Rendering:
        """The field seen by a camera or a batch of cameras; [*b, h, w, ...], color premultiplied."""
        return self.renderer.render(camera)

    def save(self, folder: str | Path, formats: Sequence[str] = ("glb",)) -> list[Path]:
        """Writes mesh.<format> for each of glb, obj, ply, stl, usdz, fbx into `folder`, and mesh_lod1.<format> and so
        on where there are coarser meshes; returns the paths. The scale is that of `mesh.real_size_m`.
        """
        if self.mesh is None:
            raise ValueError("mesh: expected one to save, got none; only the first process of a run makes it")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        scale = scale_to(self.mesh, self.config.mesh.real_size_m)
        names = ["mesh", *(f"mesh_lod{k}" for k in range(1, len(self.lods) + 1))]
        return [
            save_mesh(mesh, folder / f"{name}.{suffix}", scale=scale)
            for name, mesh in zip(names, [self.mesh, *self.lods])
            for suffix in formats
        ]

    def _repr_html_(self) -> str:
        """The mesh in a viewer that turns, for notebooks."""
        with tempfile.TemporaryDirectory() as folder:
            return viewer_iframe(self.save(folder)[0])
