"""How the prior's prediction becomes a gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Protocol

from nerf2mesh.distill.reads import refuse_unread
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Count, Elevation, FilePath, Length, OneOf, Positive, Rate, Share, Weight, Within

LOSSES = (
    "sds", "sjc", "csd", "nfsd", "ism", "asd", "sdi", "vsd", "bsd", "dds", "hifa", "x0", "rfds", "rfds_rev"
)  # fmt: skip
WEIGHTINGS = ("x0", "sds", "uniform", "fantasia3d", "one_minus_alpha")
SCHEDULES = ("linear", "sqrt", "dreamtime", "uniform")
GRIDS = ("uniform", "authors")
Factor = Annotated[float, Within(-1000.0, 1000.0)]
Curve = tuple[Factor, Factor, Factor]
Scale = Annotated[float, Within(-10_000.0, 10_000.0)]
Time = Annotated[float, Within(0.0, 1.0, above=True, below=True)]
Interval = Annotated[float, Within(0.0, 1.0, above=True)]
Cosine = Annotated[float, Within(-1.0, 1.0)]


class RendersAt(Protocol):
    """The part of `priors.base.Prior` that says at which size its views are rendered."""

    @property
    def render_px(self) -> int:
        """Side in pixels at which the views are rendered; see `priors.base.Prior`."""
        ...


@dataclass(kw_only=True)
class DistillConfig:
    """Score distillation: which gradient, how strongly guided, at which noise levels, from which cameras.

    Times are in [0, 1] (a thousandth of the usual step numbers); shares are of the run's steps. A setting that the loss
    or the schedule does not read has to stay at its default (`reads`).
    """

    loss: Annotated[str, OneOf(*LOSSES)] = "sds"
    """docs/losses.md has their equations, `configs/distill/*.yaml` the published constants."""
    weight: Weight = 100.0
    """Of the distillation gradient; its unit is that of a mean squared error over the views' pixels. Only its ratio to
    the terms of `optimize` counts; docs/lab-log.md has the figures for 10 to 300."""
    weighting: Annotated[str, OneOf(*WEIGHTINGS)] = "x0"
    """w(t), see `losses.score_weight`: "x0" pulls the view straight to the denoised one, "sds" is sigma^2
    (DreamFusion), "uniform" is 1, "fantasia3d" alpha sigma^2, "one_minus_alpha" 1 - alpha. Not for sjc, sdi, x0, rfds
    and rfds_rev, whose equations have their own."""
    guidance_scale: Scale = 1.0
    """Classifier-free guidance: uncond + scale * (cond - uncond). 1 is the conditional prediction alone."""
    guidance_end: Scale | None = None
    """The scale at the end of the run, reached linearly; null keeps it."""
    guidance_rescale: Share = 0.0
    """Share by which the guided prediction gets the conditional one's standard deviation back (Lin et al. 2023)."""
    perp_neg: bool = False
    """Other directions' prompts as perpendicular negatives (Perp-Neg), weighted by each view's azimuth."""
    perp_neg_front_side: Curve = (4.0, 0.5, -2.426)
    """(a, b, c) of the weight -(a exp(-b r) + c) of the front's prompt between front and side; all threestudio's."""
    perp_neg_side_front: Curve = (4.0, 0.5, -2.426)
    """Of the side's prompt there; then of the side's and of the front's prompt between side and back."""
    perp_neg_side_back: Curve = (1.0, 0.5, -0.606)
    perp_neg_front_back: Curve = (1.0, 0.5, 0.967)
    perp_neg_cut: Share = 0.0
    """A prompt weighs nothing within this share of a quarter turn from its own direction (0.2 in LucidDreamer)."""

    n_views: Annotated[int, Within(1, 1024)] = 3
    """Views a step, denoised together."""
    antithetic: bool = False
    """Views in pairs of opposite azimuth and equal elevation (MV-SDI); wants an even n_views."""
    render_px: Annotated[int, Within(8, 4096, also=(0,))] = 0
    """Side of the views as rendered, interpolated to what the prior wants to see; 0: the side at which the prior knows
    anything, its `render_px`, or else its picture's."""
    lit: bool = True
    """With field.material=lambert: the prior sees the field under the light that was found for the given picture, as
    it would expect to beside that picture; false: the albedo."""
    supersample: Annotated[int, Within(1, 8)] = 1
    """Rays a pixel side for the views that the prior sees; it was trained on antialiased pictures."""
    elevation_deg: tuple[Elevation, Elevation] = (-15.0, 55.0)
    """Range of the distillation cameras; azimuths are spread evenly with a random turn."""
    milestones: Annotated[tuple[Time, ...], Length(0, 16)] = ()
    """Rising shares of the run at which the number of views or their side changes."""
    milestone_views: Annotated[tuple[Annotated[int, Within(1, 1024)], ...], Length(0, 16)] = ()
    """n_views before each milestone; n_views itself counts after the last. Empty: always n_views."""
    milestone_px: Annotated[tuple[Annotated[int, Within(8, 4096)], ...], Length(0, 16)] = ()
    """render_px before each milestone, likewise."""

    t_start: Time = 0.98
    """Noise level at the first step, as time in [0, 1]."""
    t_end: Time = 0.6
    t_spread: Share = 0.05
    """Each step draws its time uniformly within +- this of the schedule."""
    schedule: Annotated[str, OneOf(*SCHEDULES)] = "linear"
    """From t_start to t_end: "linear", "sqrt" (HiFA: falls fast first) or "dreamtime" (DreamTime: stays longest where
    its weight is large). "uniform": anywhere between t_low and t_high."""
    t_low: tuple[Share, Share] = (0.02, 0.02)
    """Lower bound of "uniform" before and after the ramp."""
    t_high: tuple[Share, Share] = (0.98, 0.98)
    t_ramp: tuple[Annotated[float, Within(0.0, 1000.0)], Annotated[float, Within(0.0, 1000.0)]] = (0.0, 1.0)
    """Shares of the run between which the bounds move, linearly."""
    dreamtime: tuple[Share, Share, Positive, Positive] = (0.8, 0.5, 0.3, 0.1)
    """m1, m2, s1, s2 of DreamTime's weight (their 800, 500, 300, 100 of 1000 steps)."""

    csd_null: tuple[Factor, Factor] = (-1.0, 0.0)
    """csd: factor of the unconditional prediction before and after `csd_ramp`; with csd_negative it sums to -1."""
    csd_negative: tuple[Factor, Factor] = (0.0, -1.0)
    csd_ramp: Annotated[float, Within(0.0, 1000.0)] = 0.5
    csd_normalize: bool = False
    """csd: divide each step's gradient by its 2-norm over all views; `weight` is then that norm."""
    nfsd_split: Share = 0.2
    """nfsd: below this time the unconditional prediction is taken to be in-domain already."""
    asd_shift: Share = 0.1
    """asd: the reference is noisier by up to this share of the time."""
    inversion_stride: Annotated[float, Within(0.001, 1.0)] = 0.1
    """ism, sdi: length of a DDIM inversion step; bsd: of a denoising step."""
    inversion_grid: Annotated[str, OneOf(*GRIDS)] = "uniform"
    """ism, sdi: "authors" takes the steps of the authors' code exactly; "uniform" starts at t = 0.02 and takes equal
    strides. docs/losses.md says what differs."""
    inversion_scale: Scale = -6.5
    """sdi: guidance while inverting (threestudio's -7.5 in its cond + s (cond - uncond))."""
    inversion_eta: Share = 0.3
    """sdi: share of DDIM's variance that is added at each inversion step."""
    ism_interval: tuple[Interval, Interval] = (0.08, 0.08)
    """ism: time between the compared predictions before and after `t_ramp`."""
    hifa_image_weight: Weight = 0.48
    """hifa: of the image term; threestudio's 0.01 on sums, times 786432 pixel values over 16384 latent ones."""
    phi_rank: Annotated[int, Within(1, 1024)] = 4
    """vsd, bsd: rank of the adapter that learns the renderings' distribution."""
    phi_learning_rate: Rate = 1e-4
    phi_steps: Annotated[int, Within(0, 10_000)] = 1
    """Its training steps for each step of the loop."""
    phi_camera_dropout: Share = 0.1
    """Share of its training steps that do not tell it the camera."""
    teacher_learning_rate: Rate = 1e-5
    """bsd: of the adapter that is tuned on denoised renderings."""
    teacher_scale: Scale = 7.5
    """bsd: guidance of the untuned prior while it denoises renderings."""
    teacher_every: Count = 10
    """bsd: steps of the loop between two newly denoised renderings."""
    teacher_pool: Annotated[int, Within(1, 100_000)] = 8
    """bsd: how many denoised renderings are kept."""
    source: FilePath | None = None
    """dds: checkpoint of the run whose object is edited; the run starts from it, and input.negative_prompt describes
    it."""
    protect: Share = 0.0
    """Share by which the gradient is suppressed on surface that a given view shows well (masked SDS of SV3D)."""
    protect_cosine: tuple[Cosine, Cosine] = (0.3, 0.7)
    """Cosine between normal and direction to the given camera at which protection begins and is full."""
    confidence_weight: Annotated[float, Within(0.0, 8.0)] = 0.0
    """Views count by how sure the prior is of their direction: (1 + (spread / mean spread)^2)^-confidence_weight, with
    mean 1 over the directions. 0: alike; 1: as measurements of that variance. See docs/confidence.md."""

    @property
    def n_branches(self) -> int:
        """At most so many branches of the prior go through its network together."""
        if self.perp_neg:
            return 4
        if self.loss in ("csd", "nfsd"):
            return 3
        return 1 if self.guidance_scale == 1.0 and self.guidance_end is None else 2

    def side_px(self, prior: RendersAt) -> int:
        """Side of the views as rendered for `prior` (see `priors.base.Prior`)."""
        return self.render_px or prior.render_px

    def at(self, progress: float) -> DistillConfig:
        """The same with the number of views and their side that count at `progress`."""
        passed = sum(progress >= share for share in self.milestones)
        if passed == len(self.milestones):
            return self
        views, sides = (*self.milestone_views, self.n_views), (*self.milestone_px, self.render_px)
        now = {"n_views": views[min(passed, len(views) - 1)], "render_px": sides[min(passed, len(sides) - 1)]}
        return replace(self, **now, milestones=(), milestone_views=(), milestone_px=())

    def __post_init__(self) -> None:
        check_ranges(self, "distill.")
        refuse_unread(self)
        self._check_milestones()
        if self.t_end > self.t_start:
            raise ValueError(
                f"distill.t_end: expected at most t_start ({self.t_start:g}), got {self.t_end:g}; change one of them"
            )
        for low, high in zip(self.t_low, self.t_high, strict=True):
            if low > high:
                raise ValueError(f"distill.t_low: expected at most t_high ({high:g}), got {low:g}; swap them")
        for name, (low, high) in (("elevation_deg", self.elevation_deg), ("t_ramp", self.t_ramp)):
            if low > high:
                raise ValueError(f"distill.{name}: expected a low and a high end, got {[low, high]}; swap them")
        if self.antithetic and self.n_views % 2:
            raise ValueError(
                f"distill.n_views: expected an even number with antithetic pairs, got {self.n_views}; add one"
            )

    def _check_milestones(self) -> None:
        shares = list(self.milestones)
        if shares != sorted(set(shares)):
            raise ValueError(f"distill.milestones: expected rising shares, got {self.milestones}; such as [0.5]")
        for name in ("milestone_views", "milestone_px"):
            values = getattr(self, name)
            if values and len(values) != len(shares):
                raise ValueError(
                    f"distill.{name}: expected {len(shares)} whole numbers, one a milestone, got {values}; "
                    "set distill.milestones as well"
                )
            if name == "milestone_views" and self.antithetic and any(n % 2 for n in values):
                raise ValueError(f"distill.{name}: expected even numbers with antithetic pairs, got {values}; add one")
