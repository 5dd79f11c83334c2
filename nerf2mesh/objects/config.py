"""Settings of training on meshes: which folder, how much of it, and how its views vary."""

from __future__ import annotations

from dataclasses import dataclass, field

SPLITS = ("train", "heldout", "outside")


@dataclass(kw_only=True)
class AugmentConfig:
    """How often what is changed when a mesh is drawn; all shares are of scenes."""

    front_share: float = 0.45
    """The mesh's own front looks at azimuth 0, give or take `yaw_deg`."""
    side_share: float = 0.15
    """Its left or right side does; the rest of the yaws are uniform."""
    yaw_deg: float = 12.0
    """Standard deviation around the front or the side."""
    tumble_share: float = 0.08
    """Turned at random about any axis."""
    radius: tuple[float, float] = (0.85, 1.1)
    """Sizes, times the radius at which inputs are framed."""
    fov_share: float = 0.4
    """Seen at a field of view drawn from `fov_deg` instead of the usual one; the distance follows."""
    fov_deg: tuple[float, float] = (20.0, 55.0)
    flat_light_share: float = 0.3
    """Colors without shading; the rest is lit from above at random, from soft to hard."""
    hue_share: float = 0.25
    """Colors mixed by a random matrix near the identity."""
    pattern_share: float = 0.5
    """A solid pattern is laid over the colors."""
    look_share: float = 0.0
    """The given picture is drawn in one of `looks`; what is to be predicted stays plain."""
    looks: tuple[str, ...] = ("line", "cel", "pencil")
    cutout_share: float = 0.15
    """The given picture's edge is as cut out of a photograph: hard, soft, too wide or too narrow, with the
    backdrop's color in it."""


@dataclass(kw_only=True)
class ObjectDataConfig:
    """A folder of meshes to train on; see docs/training-on-models.md."""

    meshes: str | None = None
    """A folder of GLB, glTF, OBJ, PLY, STL, OFF files, or of packed NPZ files with a manifest.jsonl; null: none."""
    kinds: tuple[str, ...] = ()
    """Only objects of these kinds, as the manifest names them; none named: all."""
    near_test: bool = True
    """Also those that the manifest marks as near kin of well-known test objects."""
    heldout_share: float = 0.05
    """Held out, by a hash of the file's name, where no split is given."""
    up: str = "y"
    """Upward axis of the files (packed ones are +Z up): x, y, z, or with a minus sign."""
    front: str = "z"
    """The axis towards which the files' objects look."""
    max_faces: int = 20_000
    """Larger meshes are simplified when they are read."""
    licence: str = "not stated"
    """Of files that no manifest gives a licence for."""
    procedural_share: float = 0.3
    """This share of the scenes is procedural, so that what was learnt from them stays."""
    cache_mb: int = 1024
    """Memory for meshes; what does not fit is read again."""
    n_check: int = 48
    """Held-out objects to validate on."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        shares = {"data.heldout_share": self.heldout_share, "data.procedural_share": self.procedural_share}
        names = [name for name in vars(self.augment) if name.endswith("_share")]
        shares |= {f"data.augment.{name}": getattr(self.augment, name) for name in names}
        for name, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name}: expected a share from 0 to 1, got {share}; change it")
        if self.augment.front_share + self.augment.side_share > 1.0:
            raise ValueError("data.augment: expected front_share + side_share of at most 1, got more; lower one")
        if self.augment.look_share + self.augment.cutout_share > 1.0:
            raise ValueError("data.augment: expected look_share + cutout_share of at most 1, got more; lower one")
