"""What stays the same during a run, and what is made of it once before the first step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

import torch

from nerf2mesh.distill.config import DistillConfig
from nerf2mesh.optimize.confidence import DirectionSpread
from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.distillers import Distiller, GuidanceInputs, LatentGradient, make_distiller
from nerf2mesh.optimize.distillers.stateless import Stateless
from nerf2mesh.optimize.edit_source import load_source, start_from
from nerf2mesh.optimize.finish import Finishes
from nerf2mesh.optimize.lighting import lighting_of
from nerf2mesh.optimize.state import LoopState
from nerf2mesh.optimize.terms import Numbers
from nerf2mesh.optimize.views import GivenPixels, default_reference
from nerf2mesh.priors.base import Condition, Prior
from nerf2mesh.render import VolumeRenderer
from nerf2mesh.report import StageClock
from nerf2mesh.types import Camera, Observations

if TYPE_CHECKING:
    from nerf2mesh.optimize.replay import StepRecorder


@dataclass(frozen=True)
class SecondPrior:
    """Another prior that is asked about the same views, by a loss of its own."""

    prior: Prior
    condition: Condition
    distill: DistillConfig


@dataclass(kw_only=True)
class Problem:
    """What stays the same during a run. Without given views there are no photometric terms."""

    observations: Observations
    prior: Prior
    condition: Condition
    renderer: VolumeRenderer
    pixels: GivenPixels
    config: OptimizeConfig
    distill: DistillConfig
    clock: StageClock = field(default_factory=StageClock)
    average: Callable[[LoopState, Numbers], Numbers] | None = None
    """Where several processes share a run: makes gradients and numbers their mean over all. See `distributed`."""
    loggers: tuple[str, ...] = ()
    second: SecondPrior | None = None
    """Added to the first prior's gradient (Magic123)."""
    source: VolumeRenderer | None = None
    """The object to edit (distill.loss=dds); `prepare` loads it."""
    spread: DirectionSpread | None = None
    """How sure the prior is of each direction, for distill.confidence_weight."""
    loss: Callable[[GuidanceInputs], LatentGradient] | None = None
    """Instead of the one that `distill.loss` names."""
    history: list[dict[str, float]] = field(default_factory=list)
    """The numbers of every `optimize.log_every`th step that was done here, with its "step"."""
    steered: VolumeRenderer | None = None
    """Renders the same field for distillation, with gradients in a region alone; None: `renderer` does."""
    recorder: StepRecorder | Literal[False] | None = None
    """Of steps as one launch, made at the first step; False: they are not recorded."""
    finishes: Finishes = field(default_factory=Finishes)
    """Of `field.material=pbr`: roughness and metallic by color, towards which the field's heads are drawn."""
    starts_from_object: bool = False
    """The field begins as an object, whose every level counts from the first step on."""

    @property
    def device(self) -> torch.device:
        """The device on which the field is rendered."""
        return self.renderer.occupancy.bits.device

    @property
    def ring(self) -> int:
        """How many views a prior denoises together, which it knows evenly spaced at one elevation only; or 0."""
        priors = [self.prior, *([self.second.prior] if self.second else [])]
        most = max(prior.n_views for prior in priors)
        return most if most > 1 else 0

    @property
    def reference(self) -> Camera:
        """The first given view's camera, or the default one in front of the object."""
        return reference_of(self.observations)


def reference_of(observations: Observations) -> Camera:
    """The first given view's camera, or the default one in front of the object."""
    return observations.views[0].camera if observations.views else default_reference()


def prepare(state: LoopState, problem: Problem) -> Distiller:
    """The run's distiller, made once, with its state from the checkpoint; and the object to edit, if any."""
    if "distiller" not in state.parts:
        if problem.distill.loss == "dds" and problem.distill.source is None and problem.source is None:
            raise ValueError(
                "distill.source: expected the checkpoint of the object that dds edits, got nothing; set it"
            )
        if problem.distill.source and problem.source is None:
            problem.source = load_source(problem.distill.source, state, problem.renderer)
            if state.step == 0:
                start_from(problem.source, state)
                state.remember_beginning()
        distiller = make_distiller(problem.prior, problem.distill, state.generators)
        if (lighting := lighting_of(state.field.config, problem.observations.views)) is not None:
            state.add_part("light", lighting)
        state.add_part("distiller", Stateless(problem.loss) if problem.loss else distiller)
        if problem.second is not None:
            other = problem.second
            state.add_part("second", make_distiller(other.prior, other.distill, state.generators))
    return cast(Distiller, state.parts["distiller"])
