"""What `fit` returns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as new
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerf2mesh.config import Config
from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh import TriangleMesh, save_mesh, scale_to
from nerf2mesh.mesh.export.files import IN_MILLIMETRES, MOVING, SKINNED, SUFFIXES
from nerf2mesh.mesh.export.scene import save_scene
from nerf2mesh.mesh.export.skin import Skin
from nerf2mesh.mesh.solid.parts import Part
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.bent_field import bent_renderer
from nerf2mesh.motion.deformation import Deformation
from nerf2mesh.motion.rig import Rig, RigClip
from nerf2mesh.motion.rig.export import JSON_NAME, skin_for
from nerf2mesh.optimize import DirectionSpread, Finishes
from nerf2mesh.refine.camera_file import Placement
from nerf2mesh.render import VolumeRenderer
from nerf2mesh.render.shading import Light, shaded_rays
from nerf2mesh.report import read_metrics, viewer_iframe
from nerf2mesh.rights import Record
from nerf2mesh.types import Camera, Observations, Rendering, View

if TYPE_CHECKING:
    from nerf2mesh.run.plots import Plots


@dataclass(repr=False)
class Result:
    """What a run gives: the mesh, the field behind it, and what was measured.

    mesh is in world axes (+Z up, front +X, inside [-1, 1]^3; of a plan or a drawing in metres). metrics and facts are
    plain numbers by name.
    """

    mesh: TriangleMesh | None
    field: HashGridField | None
    renderer: VolumeRenderer | None
    """Both are None where the geometry was read from a plan or a drawing."""
    observations: Observations
    config: Config
    metrics: dict[str, object] = new(default_factory=dict)
    facts: dict[str, Any] = new(default_factory=dict)
    warnings: list[str] = new(default_factory=list)
    lods: list[TriangleMesh] = new(default_factory=list)
    """Coarser meshes, one for each budget of `mesh.lods`."""
    failures: list[str] = new(default_factory=list)
    """What could not be written, one line each; the mesh itself is there."""
    parts: list[Part] = new(default_factory=list)
    """Of a plan or a drawing: its named closed parts in metres; `mesh` is all of them."""
    metadata: dict[str, object] = new(default_factory=dict)
    """What travels in the GLB of `parts`."""
    track: VertexTrack | None = new(default=None, repr=False)
    """Of `input=frames`: where the mesh's vertices are in each frame; GLB, USDZ and OBJ files carry it, GLB and USDZ
    as `rig_clip` where there is a rig."""
    deformation: Deformation | None = new(default=None, repr=False)
    """Of `input=frames`: the motion as a deformation of space, for the field; see `render_at`."""
    placement: Placement | None = None
    """Of a round of refinement: where the mesh that it started from lay; files hold the mesh in that place."""
    record: Record | None = new(default=None, repr=False)
    """What the mesh was made of; `save` puts it into the files that can carry it."""
    history: list[dict[str, float]] = new(default_factory=list, repr=False)
    """The numbers that this process logged along the run, as rows of metrics.jsonl."""
    spread: DirectionSpread | None = new(default=None, repr=False)
    """How sure the prior was of each direction; see `report.confidence`."""
    light: Light | None = None
    """Of `field.material=lambert` and `pbr`: what was fitted to the given picture; field and mesh then have albedo."""
    lit_views: tuple[View, ...] = new(default=(), repr=False)
    """The given views as they came, with their light; those of `observations` may be without."""
    finishes: Finishes = new(default_factory=Finishes)
    """Of `field.material=pbr`: roughness and metallic of the paints whose highlights the given picture shows."""
    rig: Rig | None = None
    """Of `mesh.rig`: the skeleton of `mesh` and its weights."""
    rig_clip: RigClip | None = new(default=None, repr=False)
    """Of `mesh.rig` with `input=frames`: `track` as rotations of the skeleton's joints."""
    attribution: str = ""
    """The text of ATTRIBUTION.md."""

    def __repr__(self) -> str:
        mesh = "no mesh" if self.mesh is None else f"{len(self.mesh.vertices)} vertices, {len(self.mesh.faces)} faces"
        return f"Result({mesh}, metrics={self.metrics})"

    def render(self, camera: Camera) -> Rendering:
        """The field seen by a camera or a batch of cameras; [*b, h, w, ...], color and normals premultiplied.

        Of `field.material=lambert` and `pbr` it is the albedo, of `pbr` with roughness and metallic, premultiplied, as
        `extra["surface"]` [*b, h, w, 2]; `lit` shows it under a light.
        """
        if self.renderer is None:
            raise ValueError("render: expected a field, got the geometry of a sheet; render Result.mesh instead")
        return self.renderer.render(camera, normals="analytic")

    def render_at(self, camera: Camera, time_s: float) -> Rendering:
        """Of `input=frames`: the field as it is at a time of the clip, its samples bent by `deformation`."""
        if self.renderer is None or self.deformation is None:
            raise ValueError("render_at: expected the result of a clip, got one that stands still; say input=frames")
        return bent_renderer(self.renderer, self.deformation, time_s).render(camera)

    def lit(self, camera: Camera, light: Light | None = None) -> Rendering:
        """As `render`, but a field of albedo is shown under `light`, by default the picture's own."""
        rendering = self.render(camera)
        light = light or self.light
        if light is None or self.field is None:
            return rendering
        return shaded_rays(rendering, camera.to(rendering.rgb.device).rays(), self.field, light)

    def plot(self, *, size_px: int = 160) -> Plots:
        """Figures of matplotlib: the curves, four sides of `size_px` pixels, the input beside field and mesh.

        A notebook shows them as they are; `result.plot().views.savefig("views.png")` writes one.

        Raises:
            ValueError: matplotlib is missing (the extra `notebook`).
        """
        from nerf2mesh.run.plots import plots

        folder = self.config.output_dir
        logged = read_metrics(Path(folder) / "metrics.jsonl") if folder is not None else []
        return plots(logged or self.history, self.observations, self.renderer, self.mesh, size_px=size_px)

    def save(self, path: str | Path, formats: str | Sequence[str] = ()) -> list[Path]:
        """Writes the mesh and, where there are any, its coarser ones; returns the paths.

        Args:
            path: a file such as "cup.glb" (the coarser ones become cup_lod1.glb and so on), or a folder, in which the
                files are called mesh.<format>, mesh_lod1.<format> and so on.
            formats: of glb, obj, ply, stl, 3mf, usdz, fbx, abc, one or several; "glb" by default. Only for a folder.

        The longest side is `mesh.real_size_m` metres where that is set; a drawing gives the size itself. STL and 3MF
        then count millimetres.

        Raises:
            ValueError: a file cannot be written, which is named; the others are there.
        """
        if self.mesh is None:
            raise ValueError("mesh: expected one to save, got none; only the first process of a run makes it")
        path = Path(path).expanduser()
        formats = [formats] if isinstance(formats, str) else list(formats)
        is_file = path.suffix.lower() in SUFFIXES and not path.is_dir()
        if is_file and formats:
            raise ValueError(f"formats: expected none beside the file {path.name}, got {formats}; leave it out")
        stem = path.with_suffix("") if is_file else path / "mesh"
        endings = [path.suffix] if is_file else [f".{ending.lstrip('.')}" for ending in formats or ["glb"]]
        stem.parent.mkdir(parents=True, exist_ok=True)
        if self.parts:
            return self._save_parts(stem, endings)
        metres = self.config.mesh.real_size_m
        own = Placement() if self.placement is None else self.placement
        meshes = [mesh if own == Placement() else own.placed_back(mesh) for mesh in (self.mesh, *self.lods)]
        scale = self._metres_per_unit() or scale_to(meshes[0], metres)
        names = ["", *(f"_lod{k}" for k in range(1, len(self.lods) + 1))]
        written, failed = [], []
        for k, (lod, mesh) in enumerate(zip(names, meshes)):
            record = self.record.plus(lod=k) if self.record and k else self.record
            for ending in endings:
                in_mm = (metres or self._metres_per_unit()) and ending.lower() in IN_MILLIMETRES
                try:
                    size = scale * 1000.0 if in_mm else scale
                    skin = self._skin(mesh, own) if ending.lower() in SKINNED else None
                    track = self.track if not k and not skin and ending.lower() in MOVING else None
                    name = f"{stem}{lod}{ending}"
                    written.append(save_mesh(mesh, name, scale=size, track=track, record=record, skin=skin))
                except Exception as error:  # of any writer: the other formats are written in any case
                    failed.append((f"{stem.name}{lod}{ending}", error))
        if failed:
            raise ValueError(_failures(failed)) from failed[0][1]
        if self.rig and not is_file:
            self.rig.write_json(path / JSON_NAME)
        return written

    def _skin(self, mesh: TriangleMesh, own: Placement) -> Skin | None:
        """Of one of the meshes, where there is a rig: with the clip's motion, or else with the package's clips."""
        clips = None if self.rig_clip is None else [self.rig_clip]
        return None if self.rig is None else skin_for(self.rig, mesh, own.out_of_box, clips)

    def _metres_per_unit(self) -> float:
        """By the input's own scale; 0 where it has none, or where `mesh.real_size_m` says otherwise."""
        known = self.observations.notes.get("metres_per_unit", 0.0)
        return 0.0 if self.config.mesh.real_size_m else float(known) if isinstance(known, float) else 0.0

    def _save_parts(self, stem: Path, endings: list[str]) -> list[Path]:
        """A node for each part in a GLB; one mesh in other formats. They are in metres, STL and 3MF in millimetres."""
        assert self.mesh is not None
        return [
            save_scene(self.parts, f"{stem}{ending}", self.metadata, self.record)
            if ending.lower() == ".glb"
            else save_mesh(
                self.mesh,
                f"{stem}{ending}",
                scale=1000.0 if ending.lower() in IN_MILLIMETRES else 1.0,
                record=self.record,
            )
            for ending in endings
        ]

    def _repr_html_(self) -> str:
        """The mesh in a viewer that turns, for notebooks."""
        with tempfile.TemporaryDirectory() as folder:
            return viewer_iframe(self.save(folder)[0])


def _failures(failed: Sequence[tuple[str, Exception]]) -> str:
    """One line for the files that could not be written; a single one as its writer says it."""
    said = [(name, " ".join(str(error).split()) or type(error).__name__) for name, error in failed]
    if len(said) == 1 and isinstance(failed[0][1], ValueError):
        return said[0][1]
    shown = "; ".join(f"{name}: {text}" for name, text in said)
    return f"formats: expected all files to be written, got errors for {len(said)} ({shown}); the others are there"
