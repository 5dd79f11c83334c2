"""Settings of training on meshes: which folder, how much of it, and how its views vary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Length, Name, OneOf, Share, Within, Words

SPLITS = ("train", "heldout", "outside")
LOOKS = (
    "photo", "albedo", "normals", "depths", "silhouette", "line", "contour", "outline", "cel", "pencil", "blueprint",
)  # fmt: skip
"""Of `procedural.drawing`."""
AXES = ("x", "y", "z", "-x", "-y", "-z")


@dataclass(kw_only=True)
class AugmentConfig:
    """How often what is changed when a mesh is drawn; all shares are of scenes."""

    front_share: Share = 0.45
    """The mesh's own front looks at azimuth 0, give or take `yaw_deg`."""
    side_share: Share = 0.15
    """Its left or right side does; the rest of the yaws are uniform."""
    yaw_deg: Annotated[float, Within(0.0, 180.0)] = 12.0
    """Standard deviation around the front or the side."""
    tumble_share: Share = 0.08
    """Turned at random about any axis."""
    radius: tuple[Annotated[float, Within(0.1, 2.0)], Annotated[float, Within(0.1, 2.0)]] = (0.85, 1.1)
    """Sizes, times the radius at which inputs are framed."""
    fov_share: Share = 0.4
    """Seen at a field of view drawn from `fov_deg` instead of the usual one; the distance follows."""
    fov_deg: tuple[Annotated[float, Within(1.0, 150.0)], Annotated[float, Within(1.0, 150.0)]] = (20.0, 55.0)
    flat_light_share: Share = 0.3
    """Colors without shading; the rest is lit from above at random, from soft to hard."""
    hue_share: Share = 0.25
    """Colors mixed by a random matrix near the identity."""
    pattern_share: Share = 0.5
    """A solid pattern is laid over the colors."""
    look_share: Share = 0.0
    """The given picture is drawn in one of `looks`; what is to be predicted stays plain."""
    looks: Annotated[tuple[Annotated[str, OneOf(*LOOKS)], ...], Length(1, 8)] = ("line", "cel", "pencil")
    cutout_share: Share = 0.15
    """The given picture's edge is as cut out of a photograph: hard, soft, too wide or too narrow, with the
    backdrop's color in it."""

    def __post_init__(self) -> None:
        check_ranges(self, "data.augment.")
        if self.front_share + self.side_share > 1.0:
            raise ValueError("data.augment: expected front_share + side_share of at most 1, got more; lower one")
        if self.look_share + self.cutout_share > 1.0:
            raise ValueError("data.augment: expected look_share + cutout_share of at most 1, got more; lower one")


@dataclass(kw_only=True)
class ObjectDataConfig:
    """A folder of meshes to train on; see docs/training-on-models.md."""

    meshes: FilePath | None = None
    """A folder of GLB, glTF, OBJ, PLY, STL, OFF files, or of packed NPZ files with a manifest.jsonl; null: none."""
    kinds: Annotated[tuple[Name, ...], Length(0, 1000)] = ()
    """Only objects of these kinds, as the manifest names them; none named: all."""
    near_test: bool = True
    """Also those that the manifest marks as near kin of well-known test objects."""
    heldout_share: Share = 0.05
    """Held out, by a hash of the file's name, where no split is given."""
    up: Annotated[str, OneOf(*AXES)] = "y"
    """Upward axis of the files (packed ones are +Z up): x, y, z, or with a minus sign."""
    front: Annotated[str, OneOf(*AXES)] = "z"
    """The axis towards which the files' objects look."""
    max_faces: Annotated[int, Within(20, 100_000_000)] = 20_000
    """Larger meshes are simplified when they are read."""
    licence: Words = "not stated"
    """Of files that no manifest gives a licence for."""
    procedural_share: Share = 0.3
    """This share of the scenes is procedural, so that what was learnt from them stays."""
    cache_mb: Annotated[int, Within(0, 10_000_000)] = 1024
    """Memory for meshes; what does not fit is read again."""
    n_check: Annotated[int, Within(0, 100_000)] = 48
    """Held-out objects to validate on."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "data.")
