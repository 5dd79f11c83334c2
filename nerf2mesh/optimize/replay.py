"""Steps of the loop as one launch (optimize.cuda_graph): both passes and the gradient's norm, recorded and replayed.

What is recorded is what runs otherwise, `loop.distill` and `loop.compare`, with all draws made before. Outside stay the
refresh of the occupancy, which is not due in every step, and the optimizer, which is one launch and takes step and
rates as numbers. A recording holds for one number of active levels, one size of the buffers and one set of weights:
where these change, two ordinary steps come first and then another recording.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nerf2mesh.distill import guidance_scale
from nerf2mesh.optimize.drawn import Drawn, DrawnPixels, DrawnViews, distill_weight, draw_pixels, draw_views
from nerf2mesh.optimize.lighting import lighting_in
from nerf2mesh.optimize.problem import Problem
from nerf2mesh.optimize.state import LoopState
from nerf2mesh.optimize.terms import Measured
from nerf2mesh.render.capacity import Bounds
from nerf2mesh.utils.recorded import Recorded, Recorder, cuda_graph
from nerf2mesh.utils.same import Same

LOSSES = ("sds", "sjc", "x0", "rfds", "rfds_rev")
"""They draw noise, ask the prior, and do nothing else."""
Passes = Callable[[DrawnViews, DrawnPixels | None, Bounds, Bounds], Measured]


@dataclass
class StepRecorder:
    """The recordings of one run; `held`: the places of the last passes, which stay while they are about right."""

    recorded: Recorded[tuple[Measured, Tensor | None]]
    held: dict[str, Bounds] = field(default_factory=dict)

    def bounds(self, name: str, problem: Problem, n_rays: int) -> Bounds:
        """Places for the pass `name` over so many rays."""
        wanted, before = problem.renderer.bounds(n_rays), self.held.get(name)
        self.held[name] = wanted if before is None or not before.holds(wanted) else before
        return Bounds(self.held[name].marched, self.held[name].lit)


def hindrance(state: LoopState, problem: Problem) -> str:
    """Why this run's steps cannot be recorded, or nothing."""
    d, prior = problem.distill, problem.prior
    reasons = {
        f"the prior {type(prior).__name__}": not getattr(prior, "recordable", False),
        f"distill.loss={d.loss}": d.loss not in LOSSES or problem.loss is not None,
        "distill.protect, distill.confidence_weight or distill.perp_neg": bool(
            d.protect or d.confidence_weight or d.perp_neg
        ),
        "a second prior, an object to edit or a region": any((problem.second, problem.source, problem.steered)),
        "given maps": bool(problem.pixels.maps.views),
        "a fitted light, or field.material=pbr": lighting_in(state) is not None or state.field.config.material == "pbr",
        "several processes": problem.average is not None,
    }
    return next((reason for reason, hinders in reasons.items() if hinders), "")


def recorder_of(state: LoopState, problem: Problem, recorder: Recorder | None = None) -> StepRecorder | None:
    """The run's recorder, made once; None where its steps are launched operator by operator, said once where
    optimize.cuda_graph asks for another thing. recorder: instead of CUDA's."""
    if problem.recorder is None and (problem.config.cuda_graph or recorder):
        why = hindrance(state, problem)
        if not why and recorder is None and problem.device.type != "cuda":
            why = f"the device {problem.device.type}"
        if why:
            warnings.warn(
                f"optimize.cuda_graph: steps with {why} are not recorded, but launched one by one", stacklevel=2
            )
        made = (
            None
            if why
            else StepRecorder(Recorded("optimize.cuda_graph: a step", problem.device, recorder or cuda_graph))
        )
        problem.recorder = made or False
    return problem.recorder or None


def key_of(
    state: LoopState, problem: Problem, progress: float, drawn: Drawn, bounds: tuple[Bounds, Bounds]
) -> Hashable:
    """All that a step depends on beside its tensors."""
    c, d = problem.config.at(progress), problem.distill.at(progress)
    pixels = drawn.pixels
    return (
        *(Same(x) for x in (c, d, problem.condition, problem.prior, problem.renderer.gate)),
        tuple((b.marched, b.lit) for b in bounds),
        state.field.n_active_levels,
        state.field.training,
        distill_weight(state, problem, progress),
        guidance_scale(d, progress),
        progress > c.entropy_from,
        tuple(sorted(state.factors.items())),
        drawn.views.cameras.orthographic,
        None if pixels is None else pixels.colored,
    )


def recorded_passes(
    state: LoopState, problem: Problem, progress: float, steps: StepRecorder, passes: Passes
) -> Measured:
    """Both passes with their gradients from zero, and what was measured."""
    drawn = Drawn(draw_views(state, problem, progress, with_time=True), draw_pixels(state, problem))
    sizes = {"views": drawn.views.n_rays, "pixels": 0 if drawn.pixels is None else len(drawn.pixels.moved)}
    of_views, of_pixels = (steps.bounds(name, problem, n) for name, n in sizes.items())

    def work(*tensors: Tensor) -> tuple[Measured, Tensor | None]:
        there, bounds = (
            drawn.of(tensors),
            (Bounds(of_views.marched, of_views.lit), Bounds(of_pixels.marched, of_pixels.lit)),
        )
        measured = passes(there.views, there.pixels, *bounds)
        needed = [count for b in bounds for count in b.needed]
        if all(isinstance(count, Tensor) for count in needed):
            return measured, torch.stack(needed)  # pyright: ignore[reportArgumentType]
        of_views.needed, of_pixels.needed = bounds[0].needed, bounds[1].needed
        return measured, None

    fixed = of_views.fixed and (of_pixels.fixed or drawn.pixels is None)
    if fixed:
        key = key_of(state, problem, progress, drawn, (of_views, of_pixels))
        measured, needed = steps.recorded(key, work, *drawn.tensors())
    else:
        measured, needed = steps.recorded.ordinary(work, drawn.tensors())
    if needed is not None:
        counts: list[int | Tensor] = list(needed.clone())  # the next replay writes over them
        of_views.needed, of_pixels.needed = counts[:2], counts[2:]
    problem.renderer.learn(sizes["views"], of_views)
    problem.renderer.learn(sizes["pixels"], of_pixels)
    time = drawn.views.time
    return measured | ({} if time is None else {"distill/t": float(time)})
