"""The loop: one step function over an explicit state, and the run around it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from nerf2mesh.fields import HashGridField
from nerf2mesh.optimize.distillers import Distiller
from nerf2mesh.optimize.drawn import DrawnPixels, DrawnViews, distill_weight, draw_pixels, draw_views
from nerf2mesh.optimize.health import HealthWatch, Vitals
from nerf2mesh.optimize.lighting import light_in, lighting_in, seen
from nerf2mesh.optimize.maps import MapTerms
from nerf2mesh.optimize.masked_sds import unprotected
from nerf2mesh.optimize.problem import Problem, prepare
from nerf2mesh.optimize.replay import recorded_passes, recorder_of
from nerf2mesh.optimize.schedules import active_levels, set_rates
from nerf2mesh.optimize.state import LAST, LoopState
from nerf2mesh.optimize.terms import (
    Distillation,
    Gathering,
    Measured,
    Numbers,
    Photometric,
    finish_term,
    gathered,
    ray_terms,
    sample_terms,
)
from nerf2mesh.render.capacity import Bounds
from nerf2mesh.report import Progress, RunLogs
from nerf2mesh.types import Camera, Rays, Rendering
from nerf2mesh.utils.device_copy import LAG, to_device


def step(state: LoopState, problem: Problem) -> Measured:
    """One optimization step; returns the numbers that matter. Gradients of all terms are added up before the update.

    Gradients that are not finite make no update. On a GPU, where asking would mean waiting, they do, and the health
    watch takes it back.
    """
    c = problem.config
    progress = state.step / c.steps
    state.field.n_active_levels = active_levels(state, problem)
    set_rates(state, c)
    part = problem.clock.part
    measured: Measured = {}
    prepare(state, problem)
    lighting = lighting_in(state)
    with part("occupancy"):
        problem.renderer.update_occupancy(state.step, state.generators["occupancy"])
    if lighting is not None:
        with part("light"):
            lighting.follow(state.step, c, problem.renderer, state.field)
    steps = recorder_of(state, problem)
    if steps is None:
        state.optimizer.zero_grad(set_to_none=False)
        with part("distill"):
            measured |= distill(state, problem, progress)
        with part("photometric"):
            measured |= compare(state, problem)
            measured |= compare_maps(state, problem)
    else:
        with part("passes"):
            measured |= recorded_passes(state, problem, progress, steps, partial(both, state, problem, progress))
    if problem.average:
        measured |= problem.average(state, gathered(measured))
    with part("update"):
        norm = measured.pop("health/gradient", None)
        norm = gradient_norm(state) if norm is None else norm
        if problem.device.type != "cpu" or math.isfinite(norm):
            state.optimizer.step()
    state.step += 1
    return measured | {"health/gradient": norm}


def both(
    state: LoopState,
    problem: Problem,
    progress: float,
    views: DrawnViews,
    pixels: DrawnPixels | None,
    of_views: Bounds,
    of_pixels: Bounds,
) -> Measured:
    """The passes of a step that may be recorded, with the norm of their gradients: work of the device alone."""
    state.optimizer.zero_grad(set_to_none=False)
    measured = distill(state, problem, progress, views, of_views)
    if pixels is not None:
        measured |= compare(state, problem, pixels, of_pixels)
    return measured | {"health/gradient": gradient_norm(state)}


def distill(
    state: LoopState,
    problem: Problem,
    progress: float,
    drawn: DrawnViews | None = None,
    bounds: Bounds | None = None,
) -> Measured:
    """Score distillation and the regularizers at new views; drawn, bounds: where they were made before."""
    distiller = prepare(state, problem)
    c, d, streams = problem.config.at(progress), problem.distill.at(progress), state.generators
    renderer, side = problem.steered or problem.renderer, d.side_px(problem.prior)
    drawn = drawn or draw_views(state, problem, progress)
    rays = drawn.fine.to(problem.device).rays().flatten()
    cameras = drawn.cameras.to(problem.device)
    weight, moved = distill_weight(state, problem, progress), to_device(drawn.moved, problem.device)
    light = light_in(state) if d.lit else None
    score = Distillation(problem.prior, problem.condition, d, distiller, cameras, progress, weight, streams)
    score.view_weights, score.time = drawn.weights, drawn.time
    if d.protect and problem.pixels.views:
        given = [view.camera for view in problem.pixels.views]
        score.keep = lambda r: unprotected(d, renderer, given, rays, r, side)
    if problem.source is not None:
        with torch.no_grad():
            source = problem.source.render_rays(rays, jitter=moved, bounded=True)
            score.source = seen(source, rays, cast(HashGridField, problem.source.field), light)
    other = second_prior(state, problem, score, side)
    whole = ray_terms(c, state.factors, progress)

    def objective(r: Rendering) -> Tensor:
        shown = seen(r, rays, state.field, light)
        finish = finish_term(c.weight_finish, problem.finishes, r)
        return score(shown) + whole(r) + finish + (other(shown) if other else 0.0)

    rendering, value = renderer.backward_in_chunks(
        rays,
        objective,
        jitter=moved,
        sample_objective=sample_terms(c, state.field, rays, streams["regularizer"]),
        bounds=bounds,
    )
    score.learn()
    measured = score.numbers
    if other:
        other.learn()
        measured = measured | {f"second/{name}": value for name, value in other.numbers.items()}
    half_open = ((rendering.opacity > 0.1) & (rendering.opacity < 0.9)).float().sum()
    half_open = half_open / (rendering.opacity > 0.1).float().sum().clamp_min(1.0)
    return measured | {
        "loss/distill": value,
        "field/opacity": rendering.opacity.mean(),
        "field/half_open": half_open,
        "field/samples": rendering.extra["n_samples"].sum(),
    }


def second_prior(state: LoopState, problem: Problem, first: Distillation, side: int) -> Distillation | None:
    """The second prior's term on the same views, rendered at `side` pixels for the first; None where there is none."""
    if problem.second is None:
        return None
    prior, condition, asked = problem.second.prior, problem.second.condition, problem.second.distill
    now = {"render_px": side, "supersample": first.config.supersample}
    config = replace(asked, **now, milestones=(), milestone_views=(), milestone_px=())
    weight = config.weight * state.factors.get("distill", 1.0)
    distiller, streams = cast(Distiller, state.parts["second"]), state.generators
    return Distillation(prior, condition, config, distiller, first.cameras, first.progress, weight, streams)


def compare(
    state: LoopState, problem: Problem, drawn: DrawnPixels | None = None, bounds: Bounds | None = None
) -> Measured:
    """Photometric terms at the given views, if there are any; drawn, bounds: where they were made before."""
    drawn = drawn or draw_pixels(state, problem)
    if drawn is None:
        return {}
    rays, device = drawn.rays, problem.device
    background, moved = (to_device(x, device) for x in (drawn.background, drawn.moved))
    config = problem.config.at(state.step / problem.config.steps)
    term = Photometric(config, drawn.target, background, drawn.colored)
    light = light_in(state)
    # with a light in the loop a picture's colors are no albedo
    albedo = drawn.target[:, :3] if light is None and drawn.colored else None

    def objective(r: Rendering) -> Tensor:
        finish = finish_term(config.weight_finish, problem.finishes, r, albedo)
        return term(seen(r, rays, state.field, light)) + finish

    problem.renderer.backward_in_chunks(rays, objective, jitter=moved, bounds=bounds)
    return term.numbers


def compare_maps(state: LoopState, problem: Problem) -> Measured:
    """Terms of the depths and normals that come with given views, if any do."""
    maps, config = problem.pixels.maps, problem.config.at(state.step / problem.config.steps)
    if not maps.views or not (config.weight_depth or config.weight_depth_rel or config.weight_normal):
        return {}
    rays, targets = maps.draw(config.map_rays, state.generators["pixel"])
    term = MapTerms(config, targets)
    normals = "finite_difference" if term.wants_normals else None
    problem.renderer.backward_in_chunks(rays, term, jitter=jitter(rays, state.generators["jitter"]), normals=normals)
    return term.numbers


def jitter(rays: Rays, generator: torch.Generator) -> Tensor:
    """How far the samples of each ray are moved along it, in steps, uniform in [0, 1): [n], drawn on the CPU."""
    return to_device(torch.rand(len(rays.origins), generator=generator), rays.origins.device)


def gradient_norm(state: LoopState) -> Tensor:
    """The norm of all gradients of the optimizer together, a scalar on their device."""
    gradients = [p.grad for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]
    return torch.stack([g.norm() for g in gradients]).norm()


def optimize(
    state: LoopState,
    problem: Problem,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    on_preview: Callable[[Rendering, int], None] | None = None,
    on_step: Callable[[LoopState], bool | None] | None = None,
) -> list[str]:
    """Runs the loop from `state.step` to the end. Returns what the health watch did.

    folder: checkpoints and metrics.jsonl go there. on_preview gets a rendering of four sides [4, h, w] and the step.
    on_step is called after each step, for callers with plans of their own (adapting the prior again); True ends the
    loop there.
    """
    c = problem.config
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    log = RunLogs(folder, problem.loggers, resume_step=state.step) if folder else None
    prepare(state, problem)
    watch = HealthWatch(state)
    state.field.train()
    under_way = PendingMetrics(problem.device)
    with progress or nullcontext():
        while state.step < c.steps:
            measured = step(state, problem)
            at, last = state.step, state.step >= c.steps
            saves = folder is not None and (at % c.checkpoint_every == 0 or last)
            if at % c.log_every == 0 or last:
                measured = measured | {"field/occupied": state.occupancy.fraction()}
            under_way.add(at, measured)
            for passed, numbers in under_way.arrived(all_of_them=saves or last):
                said = watch.check(state, vitals(numbers, passed, c.steps))
                if said:
                    under_way.clear()
                    if progress:
                        progress.note(said)
                _report(problem, numbers, passed, log, progress)
            if on_preview and (at % c.preview_every == 0 or last):
                on_preview(problem.renderer.render(preview_cameras(problem, c.preview_size_px)), at)
            ended = bool(on_step and on_step(state))
            if folder is not None and (saves or ended):
                state.save(folder / LAST)
            if ended:
                break
    if log:
        log.close()
    return state.events


class PendingMetrics:
    """Numbers of the latest steps: at once on a CPU, `LAG` steps late on a GPU, so that nothing waits for a step."""

    def __init__(self, device: torch.device) -> None:
        self._lag = 0 if device.type == "cpu" else LAG
        self._waiting: deque[tuple[int, Gathering]] = deque()

    def add(self, step: int, measured: Measured) -> None:
        """Starts the copy of what was measured at `step` to the host."""
        self._waiting.append((step, Gathering(measured)))

    def arrived(self, all_of_them: bool = False) -> Iterator[tuple[int, Numbers]]:
        """(step, numbers) of the steps that are due, oldest first; `all_of_them` waits for the rest too."""
        while len(self._waiting) > (0 if all_of_them else self._lag):
            step, gathering = self._waiting.popleft()
            yield step, gathering.numbers()

    def clear(self) -> None:
        """What was measured of a state that is no more."""
        self._waiting.clear()


def vitals(numbers: Numbers, step: int, steps: int) -> Vitals:
    """What the health watch looks at, of `step` of `steps`. Terms that are absent count as 0.

    The loss is a sum of losses and the gradient's norm: of use only for whether it is finite.
    """
    looked_at = ("loss/distill", "loss/color", "loss/mask", "health/gradient")
    loss = sum(numbers.get(name, 0.0) for name in looked_at)
    return Vitals(loss, numbers["field/opacity"], numbers["field/half_open"], step / steps, step)


def _report(problem: Problem, numbers: Numbers, step: int, log: RunLogs | None, progress: Progress | None) -> None:
    if progress:
        shown: dict[str, float] = {"t": round(numbers["distill/t"], 2)}
        if "loss/color" in numbers:
            psnr = -10 * math.log10(max(numbers["loss/color"], 1e-10))
            shown = {"psnr_db": round(psnr, 1), "mask": numbers["loss/mask"]} | shown
        progress.update(**shown)
    if "field/occupied" in numbers:
        lost = problem.renderer.lost_samples
        numbers = numbers | ({"field/lost": float(lost)} if lost else {})
        problem.history.append({"step": step, **numbers})
        if log:
            log.write(step, numbers)


def preview_cameras(problem: Problem, size_px: int) -> Camera:
    """The reference view and three more, a quarter turn apart."""
    camera = problem.reference.resized(size_px, size_px)
    return Camera.stack([camera.turned(angle) for angle in (0.0, 90.0, 180.0, 270.0)])
