"""Set `procedural-heldout`: n scenes of the grammar that no prior is trained on, drawn as training pictures are.

Objects
    Seeds from VALIDATION_SEED on, of the training families or of the held-out ones (kinds never trained on).
Input
    One picture: azimuth 0, elevation 20 degrees, distance 3.2, field of view 40 degrees, 256 px, straight alpha, as
    the grammar's pictures are drawn for training: flat colors with the scene's own light, antialiased. In another
    look (`procedural.drawing`) the picture is a drawing of the same view; the truth stays.
Truth
    See `exact_cases`. Views: every second of the ring of protocol `core` (8 views, elevations 0 and 30 degrees) at
    128 px, drawn like the input. The solid at 128^3 voxel centers; surface metrics with 4,000 samples each way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nerf2mesh.evaluate.protocols.canonical import ring_cameras
from nerf2mesh.evaluate.protocols.exact_cases import ExactTruth
from nerf2mesh.evaluate.protocols.scoring import Case, Settings, render_views
from nerf2mesh.procedural.render import Scenes
from nerf2mesh.types import Camera

SETTINGS = Settings(supersample=2, iou_resolution=128, surface_samples=4_000)
VIEW_PX = 128


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The set. `names` are "s" ("h" for held-out families) and the seed's distance from VALIDATION_SEED, 4 digits."""

    n: int = 64
    families: str = "training"
    """training or heldout."""
    look: str = "photo"
    """One of `procedural.drawing.LOOK_FUNCTIONS`: what the input picture looks like."""
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.families not in ("training", "heldout"):
            raise ValueError(f"families: expected training or heldout, got {self.families!r}; choose one")

    @property
    def names(self) -> list[str]:
        """The names of the set's `n` cases, in the order of their seeds."""
        return [f"{'s' if self.families == 'training' else 'h'}{k:04d}" for k in range(self.n)]

    def case(self, name: str) -> Case:
        """The case of one name; rendered on the first call, read from the cache after."""
        truth = ExactTruth(novel=view_cameras(), settings=SETTINGS, lit=True, cache=self.cache)
        return truth.case(name, self.scene(name), self.look)

    def scene(self, name: str) -> Scenes:
        """The scene of one name as the grammar gives it, not yet in the canonical frame."""
        from nerf2mesh.procedural.dataset import VALIDATION_SEED
        from nerf2mesh.procedural.families import HELD_OUT_FAMILIES
        from nerf2mesh.procedural.grammar import sample_scenes

        if name not in self.names:
            raise ValueError(
                f"objects: expected names {self.names[0]} to {self.names[-1]}, got {name}; raise n for more"
            )
        families = None if self.families == "training" else list(HELD_OUT_FAMILIES)
        return sample_scenes([VALIDATION_SEED + int(name[1:])], families)


def view_cameras() -> Camera:
    """8 of the ring's 16: azimuths 0, 90, 180, 270 at elevation 0, and 67.5, 157.5, 247.5, 337.5 at 30 degrees."""
    return ring_cameras(VIEW_PX)[torch.tensor([0, 3, 4, 7, 8, 11, 12, 15])]


def drawn_case(case: Case, look: str) -> Case:
    """A case whose input picture is a drawing of its true mesh (`ExactTruth` draws the exact surface)."""
    from nerf2mesh.procedural.drawing import draw
    from nerf2mesh.procedural.gbuffer import mesh_gbuffer

    image = draw(mesh_gbuffer(render_views(case.known_mesh, case.camera, case.settings), case.camera), look)
    return replace(case, image=(image * 255).round() / 255)
