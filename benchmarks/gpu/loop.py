"""The library's own loop, one step at a time: how long it takes, which lines make the host wait for the GPU, and what
optimize.cuda_graph makes of it."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from nerf2mesh.report import StageClock

from .speed import Figures, host_syncs

PICTURE = Path(__file__).resolve().parents[2] / "nerf2mesh" / "assets" / "demo" / "duck.png"


def problem(device: str, overrides: list[str]):
    """State and problem as a run at `overrides` has them, without adapters and without a folder."""
    from nerf2mesh.config import load_config
    from nerf2mesh.fields import HashGridField
    from nerf2mesh.inputs import load_observations
    from nerf2mesh.optimize import GivenPixels, LoopState, Problem
    from nerf2mesh.priors import load_prior
    from nerf2mesh.render import OccupancyGrid, VolumeRenderer

    config = load_config([f"input.image={PICTURE}", *overrides])
    observations = load_observations(config.input)
    prior = load_prior(config.prior, device)
    field = HashGridField(config.field, torch.Generator().manual_seed(config.seed)).to(device)
    occupancy = OccupancyGrid(config.renderer.occupancy_resolution).to(device)
    renderer = VolumeRenderer(config.renderer, field, occupancy)
    state = LoopState.fresh(field, occupancy, config.optimize.lr_encoding, config.optimize.lr_network, config.seed)
    pixels = GivenPixels(observations, torch.device(device))
    condition = prior.condition(observations)
    return state, Problem(
        observations=observations,
        prior=prior,
        condition=condition,
        renderer=renderer,
        pixels=pixels,
        config=config.optimize,
        distill=config.distill,
    )


def measure(device: str, preset: str = "standard", warm_up: int = 40, steps: int = 20) -> Figures:
    """Mean time of a step after the warm-up, its parts, and the host synchronizations of `steps` steps in a row, which
    fail it. Numbers are gathered as `optimize` does it; refreshes of the occupancy are among the steps."""
    from nerf2mesh.optimize.loop import PendingMetrics, step

    state, given = problem(device, [f"preset={preset}"])
    state.field.train()
    under_way = PendingMetrics(given.device)

    def run(n: int) -> None:
        for _ in range(n):
            under_way.add(state.step, step(state, given))
            list(under_way.arrived())

    run(warm_up)
    seen = host_syncs(lambda: run(steps))
    _wait(device)
    start = time.perf_counter()
    run(steps)
    _wait(device)
    found: Figures = {"step [ms]": 1e3 * (time.perf_counter() - start) / steps}
    given.clock = StageClock(synchronize=True)
    with given.clock.stage("steps") as stage:
        run(steps)
    found |= {f"{part}, waited for [ms]": 1e3 * seconds / steps for part, seconds in stage.parts.items()}
    found |= {"samples without a place": given.renderer.lost_samples, "host synchronizations": sum(seen.values())}
    found |= {f"waits at {line}": n for line, n in sorted(seen.items(), key=lambda item: -item[1])}
    return found | ({"failed": "steps of the loop wait for the GPU"} if seen else {})


def graph(device: str, preset: str = "standard", steps: int = 80, timed: int = 40) -> Figures:
    """Steps with optimize.cuda_graph over ordinary ones: time of the `timed` last of `steps`, recordings made, and how
    far the parameters end from those of an ordinary run, beside how far two ordinary runs end from each other (sums of
    atomics have no order). On a CPU the stand-in of `operator_tape` records."""
    ends = [_graph_run(device, preset, steps, timed, recorded) for recorded in (False, False, True)]
    parameters, seconds, recordings, failed = zip(*ends)
    found: Figures = {"step [ms]": 1e3 * min(seconds[:2]), "step recorded [ms]": 1e3 * seconds[2]}
    found |= {"ordinary over recorded": min(seconds[:2]) / seconds[2], "recordings": recordings[2]}
    found |= {"parameters: recorded from ordinary": _apart(parameters[2], parameters[0])}
    found |= {"parameters: ordinary from ordinary": _apart(parameters[1], parameters[0])}
    return found | ({"failed": "a step could not be recorded"} if failed[2] else {})


def _graph_run(
    device: str, preset: str, steps: int, timed: int, recorded: bool
) -> tuple[torch.Tensor, float, int, bool]:
    """Parameters at the end, seconds a step, recordings made, and whether one failed."""
    from nerf2mesh.optimize.loop import PendingMetrics, step
    from nerf2mesh.optimize.replay import recorder_of
    from nerf2mesh.utils.recorded import cuda_graph

    from .operator_tape import tape

    state, given = problem(device, [f"preset={preset}", f"optimize.steps={steps}"])
    state.field.train()
    recorder = recorder_of(state, given, tape if device == "cpu" else cuda_graph) if recorded else None
    under_way, start = PendingMetrics(given.device), time.perf_counter()
    for k in range(steps):
        if k == steps - timed:
            _wait(device)
            start = time.perf_counter()
        under_way.add(state.step, step(state, given))
        list(under_way.arrived())
    _wait(device)
    seconds = (time.perf_counter() - start) / timed
    parameters = torch.cat([p.detach().flatten() for p in state.field.parameters()])
    return parameters, seconds, recorder.recorded.count if recorder else 0, bool(recorder and recorder.recorded.failed)


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
