"""What the loop is told: how long, how fast, and how much each term counts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Annotated

from nerf2mesh.optimize.interventions import parsed
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Count, Length, Positive, Rate, Share, Weight, Within, Words


@dataclass(kw_only=True)
class OptimizeConfig:
    """The loop. Weights multiply means (over pixels, rays or samples), so they mean the same at any resolution."""

    steps: Count = 240
    lr_encoding: Rate = 6e-2
    lr_network: Rate = 6e-3
    lr_final_share: Annotated[float, Within(0.0, 1000.0, above=True)] = 0.1
    """The rates fall exponentially to this share of themselves."""
    levels_from: Annotated[float, Within(0.0, 1000.0)] = 0.0
    """Share of the steps before which only field.start_levels of the hash grid are active."""
    levels_full_at: Annotated[float, Within(0.0, 1000.0)] = 0.5
    """Share of the steps after which all are. Above 1 the run ends before."""

    guessed_views: Annotated[int, Within(0, 64)] = 0
    """Views around the object that the prior guesses in one step at the start and that are fitted like given pictures;
    with distill.weight=0 a first shape in seconds (preset=instant). 0: none."""
    guessed_weight: Weight = 1.0
    """How often their rays are drawn; a given picture has input.weight or 1."""
    rays: Annotated[int, Within(1, 100_000_000)] = 1024
    """Rays a step through the given pictures."""
    weight_color: Weight = 30.0
    """Mean squared color error at the given views, in front of a random background; docs/lab-log.md has figures. Not of
    drawings (input.domain)."""
    weight_mask: Weight = 5.0
    """Mean squared opacity error at the given views."""
    weight_depth_rel: Weight = 1.0
    """With a depth map: 1 - correlation of rendered and given depths. Published, for estimated maps: docs/maps.md."""
    weight_depth: Weight = 5.0
    """With a depth map: mean squared difference, in squared world units, after a robust fit of the scale and shift that
    the map leaves open."""
    weight_normal: Weight = 1.0
    """With a normal map: mean of 1 - cosine."""
    map_rays: Annotated[int, Within(16, 100_000_000)] = 512
    """Rays a step through the pixels of a depth or normal map."""
    weight_entropy: Weight = 0.02
    """Opacity of every ray towards 0 or 1, from `entropy_from` on."""
    entropy_from: Share = 0.5
    """Share of the steps."""
    weight_sparsity: Weight = 0.0
    weight_orientation: Weight = 0.5
    weight_smoothness: Weight = 0.5
    smoothness_std: Annotated[float, Within(0.0, 2.0)] = 0.03
    """How far apart the compared normals are, in world units."""
    weight_distortion: Weight = 0.05
    regularizer_samples: Annotated[int, Within(1, 100_000_000)] = 512
    """Points a step at which normals are looked at."""
    weight_finish: Weight = 5.0
    """Mean squared difference of roughness and metallic from what the picture's highlights say of each color
    (field.material=pbr)."""
    light_from: Share = 0.1
    """Share of the steps after which the light is fitted (field.material=lambert); even before."""
    light_every: Count = 20
    """Steps between two fits of the light."""
    ramps: Annotated[dict[str, Annotated[list[Weight], Length(4, 4)]], Length(0, 16)] = field(default_factory=dict)
    """Weights that move, such as {weight_orientation: [0.0, 10.0, 1000.0, 0.5]}: from 10 to 1000, linearly, between the
    shares 0 and 0.5 of the steps. The name's own setting then counts for nothing."""

    interventions: Annotated[tuple[Words, ...], Length(0, 10_000)] = ()
    """Changes during the run, such as "100 distill.weight=0.5" or "180 stop of 240": after so many steps. A watched run
    writes what was changed by hand into interventions.json in this form."""
    cuda_graph: bool = False
    """On a GPU a step's passes become one launch, recorded anew where their sizes change; for the built-in prior and
    plain losses. Not run on a GPU yet: off until it was measured there."""

    log_every: Count = 10
    preview_every: Count = 100
    preview_size_px: Annotated[int, Within(8, 2048)] = 96
    checkpoint_every: Count = 100
    """Steps between two checkpoints; the last step always makes one."""
    checkpoint_every_s: Positive = 300.0
    """Seconds after which there is one anyway."""

    def at(self, progress: float) -> OptimizeConfig:
        """The same with the weights of `ramps` as they are at `progress`."""
        if not self.ramps:
            return self
        return replace(self, **{name: _ramped(ramp, progress) for name, ramp in self.ramps.items()}, ramps={})

    def __post_init__(self) -> None:
        check_ranges(self, "optimize.")
        if not 0.0 <= self.levels_from <= self.levels_full_at:
            raise ValueError(
                f"optimize.levels_from: expected 0 to levels_full_at ({self.levels_full_at}), got {self.levels_from}; "
                "lower it"
            )
        for line in self.interventions:
            parsed(line)
        known = [item.name for item in fields(self) if item.name.startswith("weight_")]
        for name, ramp in self.ramps.items():
            if name not in known:
                raise ValueError(f"optimize.ramps: expected names among {', '.join(known)}, got {name!r}; correct it")
            if not ramp[0] <= ramp[3] <= 1.0:
                raise ValueError(
                    f"optimize.ramps.{name}: expected [begin, first, last, end] with 0 <= begin <= end <= 1, "
                    f"got {list(ramp)}; such as [0.0, 1.0, 10.0, 0.5]"
                )


def _ramped(ramp: list[float], progress: float) -> float:
    """Linear from `first` to `last` between the shares `begin` and `end`; [begin, first, last, end]."""
    begin, first, last, end = ramp
    share = min(max((progress - begin) / max(end - begin, 1e-9), 0.0), 1.0)
    return first + (last - first) * share
