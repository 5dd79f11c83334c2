"""How the prior's prediction becomes a gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from nerf2mesh.distill.reads import refuse_unread

LOSSES = (
    "sds", "sjc", "csd", "nfsd", "ism", "asd", "sdi", "vsd", "bsd", "dds", "hifa", "x0", "rfds", "rfds_rev"
)  # fmt: skip
WEIGHTINGS = ("x0", "sds", "uniform", "fantasia3d", "one_minus_alpha")
SCHEDULES = ("linear", "sqrt", "dreamtime", "uniform")
GRIDS = ("uniform", "authors")


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

    loss: str = "sds"
    """One of LOSSES; docs/losses.md has their equations, `configs/distill/*.yaml` the published constants."""
    weight: float = 100.0
    """Of the distillation gradient; its unit is that of a mean squared error over the views' pixels. Only its ratio to
    the terms of `optimize` counts; docs/lab-log.md has the figures for 10 to 300."""
    weighting: str = "x0"
    """w(t), see `losses.score_weight`: "x0" pulls the view straight to the denoised one, "sds" is sigma^2
    (DreamFusion), "uniform" is 1, "fantasia3d" alpha sigma^2, "one_minus_alpha" 1 - alpha. Not for sjc, sdi, x0, rfds
    and rfds_rev, whose equations have their own."""
    guidance_scale: float = 1.0
    """Classifier-free guidance: uncond + scale * (cond - uncond). 1 is the conditional prediction alone."""
    guidance_end: float | None = None
    """The scale at the end of the run, reached linearly; null keeps it."""
    guidance_rescale: float = 0.0
    """Share by which the guided prediction gets the conditional one's standard deviation back (Lin et al. 2023)."""
    perp_neg: bool = False
    """Other directions' prompts as perpendicular negatives (Perp-Neg), weighted by each view's azimuth."""
    perp_neg_front_side: tuple[float, float, float] = (4.0, 0.5, -2.426)
    """(a, b, c) of the weight -(a exp(-b r) + c) of the front's prompt between front and side; all threestudio's."""
    perp_neg_side_front: tuple[float, float, float] = (4.0, 0.5, -2.426)
    """Of the side's prompt there; then of the side's and of the front's prompt between side and back."""
    perp_neg_side_back: tuple[float, float, float] = (1.0, 0.5, -0.606)
    perp_neg_front_back: tuple[float, float, float] = (1.0, 0.5, 0.967)
    perp_neg_cut: float = 0.0
    """A prompt weighs nothing within this share of a quarter turn from its own direction (0.2 in LucidDreamer)."""

    n_views: int = 3
    """Views a step, denoised together."""
    antithetic: bool = False
    """Views in pairs of opposite azimuth and equal elevation (MV-SDI); wants an even n_views."""
    render_px: int = 0
    """Side of the views as rendered, interpolated to what the prior wants to see; 0: the side at which the prior knows
    anything, its `render_px`, or else its picture's."""
    supersample: int = 1
    """Rays a pixel side for the views that the prior sees; it was trained on antialiased pictures."""
    elevation_deg: tuple[float, float] = (-15.0, 55.0)
    """Range of the distillation cameras; azimuths are spread evenly with a random turn."""
    milestones: tuple[float, ...] = ()
    """Rising shares of the run at which the number of views or their side changes."""
    milestone_views: tuple[int, ...] = ()
    """n_views before each milestone; n_views itself counts after the last. Empty: always n_views."""
    milestone_px: tuple[int, ...] = ()
    """render_px before each milestone, likewise."""

    t_start: float = 0.98
    """Noise level at the first step, as time in [0, 1]."""
    t_end: float = 0.6
    t_spread: float = 0.05
    """Each step draws its time uniformly within +- this of the schedule."""
    schedule: str = "linear"
    """From t_start to t_end: "linear", "sqrt" (HiFA: falls fast first) or "dreamtime" (DreamTime: stays longest where
    its weight is large). "uniform": anywhere between t_low and t_high."""
    t_low: tuple[float, float] = (0.02, 0.02)
    """Lower bound of "uniform" before and after the ramp."""
    t_high: tuple[float, float] = (0.98, 0.98)
    t_ramp: tuple[float, float] = (0.0, 1.0)
    """Shares of the run between which the bounds move, linearly."""
    dreamtime: tuple[float, float, float, float] = (0.8, 0.5, 0.3, 0.1)
    """m1, m2, s1, s2 of DreamTime's weight (their 800, 500, 300, 100 of 1000 steps)."""

    csd_null: tuple[float, float] = (-1.0, 0.0)
    """csd: factor of the unconditional prediction before and after `csd_ramp`; with csd_negative it sums to -1."""
    csd_negative: tuple[float, float] = (0.0, -1.0)
    csd_ramp: float = 0.5
    csd_normalize: bool = False
    """csd: divide each step's gradient by its 2-norm over all views; `weight` is then that norm."""
    nfsd_split: float = 0.2
    """nfsd: below this time the unconditional prediction is taken to be in-domain already."""
    asd_shift: float = 0.1
    """asd: the reference is noisier by up to this share of the time."""
    inversion_stride: float = 0.1
    """ism, sdi: length of a DDIM inversion step; bsd: of a denoising step."""
    inversion_grid: str = "uniform"
    """ism, sdi: "authors" takes the steps of the authors' code exactly; "uniform" starts at t = 0.02 and takes equal
    strides. docs/losses.md says what differs."""
    inversion_scale: float = -6.5
    """sdi: guidance while inverting (threestudio's -7.5 in its cond + s (cond - uncond))."""
    inversion_eta: float = 0.3
    """sdi: share of DDIM's variance that is added at each inversion step."""
    ism_interval: tuple[float, float] = (0.08, 0.08)
    """ism: time between the compared predictions before and after `t_ramp`."""
    hifa_image_weight: float = 0.48
    """hifa: of the image term; threestudio's 0.01 on sums, times 786432 pixel values over 16384 latent ones."""
    phi_rank: int = 4
    """vsd, bsd: rank of the adapter that learns the renderings' distribution."""
    phi_learning_rate: float = 1e-4
    phi_steps: int = 1
    """Its training steps for each step of the loop."""
    phi_camera_dropout: float = 0.1
    """Share of its training steps that do not tell it the camera."""
    teacher_learning_rate: float = 1e-5
    """bsd: of the adapter that is tuned on denoised renderings."""
    teacher_scale: float = 7.5
    """bsd: guidance of the untuned prior while it denoises renderings."""
    teacher_every: int = 10
    """bsd: steps of the loop between two newly denoised renderings."""
    teacher_pool: int = 8
    """bsd: how many denoised renderings are kept."""
    source: str | None = None
    """dds: checkpoint of the run whose object is edited; the run starts from it, and input.negative_prompt describes
    it."""
    protect: float = 0.0
    """Share by which the gradient is suppressed on surface that a given view shows well (masked SDS of SV3D)."""
    protect_cosine: tuple[float, float] = (0.3, 0.7)
    """Cosine between normal and direction to the given camera at which protection begins and is full."""

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
        _one_of("loss", self.loss, LOSSES)
        _one_of("weighting", self.weighting, WEIGHTINGS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("inversion_grid", self.inversion_grid, GRIDS)
        refuse_unread(self)
        self._check_milestones()
        if not 0.0 < self.t_end <= self.t_start < 1.0:
            raise ValueError(
                f"distill.t_start, t_end: expected 0 < t_end <= t_start < 1, got {self.t_start} and {self.t_end}; "
                "change them"
            )
        for low, high in zip(self.t_low, self.t_high, strict=True):
            if not 0.0 <= low <= high <= 1.0:
                raise ValueError(
                    f"distill.t_low, t_high: expected 0 <= low <= high <= 1, got {low} and {high}; swap them"
                )
        if self.n_views < 1 or self.supersample < 1:
            raise ValueError(
                f"distill.n_views, supersample: expected at least 1, got {self.n_views} and {self.supersample}; set 1"
            )
        if self.antithetic and self.n_views % 2:
            raise ValueError(
                f"distill.n_views: expected an even number with antithetic pairs, got {self.n_views}; add one"
            )
        if not self.inversion_stride > 0 or not min(self.ism_interval) > 0:
            raise ValueError(
                "distill.inversion_stride, ism_interval: above 0 wanted, "
                f"got {self.inversion_stride} and {self.ism_interval}"
            )
        if not 0.0 <= self.protect <= 1.0:
            raise ValueError(f"distill.protect: expected a share from 0 to 1, got {self.protect}; set 0 for none")

    def _check_milestones(self) -> None:
        shares = list(self.milestones)
        if shares != sorted(set(shares)) or any(not 0.0 < share < 1.0 for share in shares):
            raise ValueError(
                f"distill.milestones: expected rising shares between 0 and 1, got {self.milestones}; such as [0.5]"
            )
        for name, least in (("milestone_views", 1), ("milestone_px", 8)):
            values = getattr(self, name)
            if values and (len(values) != len(shares) or min(values) < least):
                raise ValueError(
                    f"distill.{name}: expected {len(shares)} whole numbers of at least {least}, one a milestone, "
                    f"got {values}; set distill.milestones as well"
                )
            if name == "milestone_views" and self.antithetic and any(n % 2 for n in values):
                raise ValueError(f"distill.{name}: expected even numbers with antithetic pairs, got {values}; add one")


def _one_of(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise ValueError(f"distill.{name}: expected one of {', '.join(options)}, got {value!r}; choose one")
