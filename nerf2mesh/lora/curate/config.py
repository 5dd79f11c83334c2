"""Settings of `nerf2mesh-curate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.priors import PriorConfig
from nerf2mesh.rights import USES
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Device, FilePath, Length, OneOf, Seed, Share, Within, Words


@dataclass(kw_only=True)
class CurateConfig:
    """What is looked for in a folder of pairs, and from where on a pair is refused. Thresholds: docs/curation.md."""

    data: FilePath | None = None
    """The folder: with items.jsonl as for `nerf2mesh-train-lora`, or with pictures alone."""
    ticks: FilePath | None = None
    """A file saved by the sheet: what is on and off. null takes that of the last time, `none` forgets it."""
    require: Annotated[list[Annotated[str, OneOf("licence", "author", "source")]], Length(0, 3)] = field(
        default_factory=lambda: ["licence"]
    )
    """What a picture must state, else it is refused; the rest of the three is only counted."""
    use: Annotated[str, OneOf(*USES)] | None = None
    """What the adapter is for: pictures whose licence forbids that are refused."""
    licence: Words = ""
    """Of the adapter that is to be trained, for conflicts with the pictures' licences."""
    names: Annotated[str, OneOf("keep", "remove")] = "keep"
    """People's names in the pictures' metadata: "remove" writes copies without metadata, which the cleaned manifest
    names; the originals stay as they are."""
    held_out: FilePath | None = None
    """A folder of pictures that must not be learnt from, such as a benchmark's; beside the lines of split "heldout"."""
    held_out_share: Annotated[float, Within(0.0, 1.0, below=True)] = 0.1
    """Where no line has a split: this share of the pairs is held out, whole groups that share a model."""
    min_side_px: Annotated[int, Within(16, 8192)] = 64
    """Smaller pictures are refused; 64 is what the built-in prior sees."""
    max_blur: Share = 0.6
    """Pictures that are more blurred are refused; 0 is sharp, 1 is nothing but blur (Crete et al. 2007)."""
    near_hash_bits: Annotated[int, Within(0, 256)] = 64
    """Pictures whose perceptual hashes (256 bits) differ in at most so many are near duplicates if the prior agrees; up
    to half more where it does so strongly."""
    near_cosine: Share = 0.95
    """So near must their features in the built-in prior be."""
    min_silhouette: Share = 0.7
    """Least intersection over union of the picture's silhouette and its mesh's."""
    min_covered: Share = 0.93
    """Where there are views and no mesh: least share of the picture's silhouette that their hull covers, and of theirs
    that is left when the hull is cut by the picture's."""
    prior: PriorConfig = field(default_factory=PriorConfig)
    device: Device = "cpu"
    seed: Seed = 0
    quiet: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
