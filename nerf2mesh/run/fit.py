"""The way from a configuration to a finished run, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from nerf2mesh.config import Config
from nerf2mesh.fields import HashGridField, bound_of
from nerf2mesh.inputs import candidates_in
from nerf2mesh.optimize import (
    EARLIER,
    LAST,
    GivenPixels,
    GuidanceInputs,
    LatentGradient,
    LoopState,
    Problem,
    RunControl,
    check_light,
    light_in,
)
from nerf2mesh.priors import Prior
from nerf2mesh.priors.foundation import memory
from nerf2mesh.refine.round import Round
from nerf2mesh.render import OccupancyGrid, VolumeRenderer
from nerf2mesh.report import EnergyMeter, StageClock
from nerf2mesh.rights.record import attribution_page
from nerf2mesh.run.confidence import find_spread, spread_mean
from nerf2mesh.run.finish import finish, made_from
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.guidance import load_guidance, with_adapter_of_kind, with_guesses
from nerf2mesh.run.lit import albedo_input
from nerf2mesh.run.loop import run_loop
from nerf2mesh.run.memory_check import check_memory, check_threads
from nerf2mesh.run.placing import observe
from nerf2mesh.run.ranks import Ranks
from nerf2mesh.run.ready import check_ready
from nerf2mesh.run.record import run_record
from nerf2mesh.run.refining import begin_round, bound, observe_round, start_field, targets
from nerf2mesh.run.result import Result
from nerf2mesh.run.rights import Rights, pass_gate, with_packaged
from nerf2mesh.run.settings import told
from nerf2mesh.run.subject_adapter import adapt
from nerf2mesh.run.warned import kept, warn
from nerf2mesh.run.watched import by_hand, shown
from nerf2mesh.types import Observations
from nerf2mesh.utils.checkpoint import has_checkpoint
from nerf2mesh.utils.locks import alone_in
from nerf2mesh.utils.range_check import check_again
from nerf2mesh.utils.scratch import scratch_in
from nerf2mesh.view.watch import Watch


@dataclass(frozen=True)
class OwnCode:
    """What the caller brings instead of what the configuration names."""

    prior: Prior | None = None
    loss: Callable[[GuidanceInputs], LatentGradient] | None = None

    def names(self) -> dict[str, str]:
        """{"prior": class, "loss": function}, with what was brought."""
        brought = {key: code for key, code in (("prior", self.prior), ("loss", self.loss)) if code is not None}
        return {
            key: f"{code.__module__}.{getattr(code, '__qualname__', type(code).__qualname__)}"
            for key, code in brought.items()
        }


def named(own: OwnCode) -> dict[str, object]:
    """For provenance.json: {"own_code": names}, or nothing where none was brought."""
    return {"own_code": names} if (names := own.names()) else {}


def run_fit(
    config: Config,
    overrides: Sequence[str] = (),
    observations: Observations | None = None,
    *,
    prior: Prior | None = None,
    loss: Callable[[GuidanceInputs], LatentGradient] | None = None,
    control: RunControl | None = None,
    watch: Watch | None = None,
) -> Result:
    """The whole run that `config` describes.

    Args:
        overrides: what `config` was composed from, noted in the run folder.
        observations: the input where it is ready; None reads the one that `config.input` names.
        prior, loss: instead of those that `config` names; see `api.fit`.
        control: to pause, stop or change the loop from another thread. watch: is shown the field as it comes.

    Raises:
        ValueError: in one line, what is wrong with the input, a setting, a file or the run, and what to do about it.
    """
    check_again(config)
    own = OwnCode(prior, loss)
    exact = observations is None and config.input.is_exact
    rights = pass_gate(config, own.names().get("prior"), exact=exact)
    check_threads(config.threads)
    # Setting the number of threads, even to the present one, also stops MKL from choosing it, which changes bits.
    torch.set_num_threads(config.threads or torch.get_num_threads())
    if exact:
        begin_round(config)  # refused with a sheet

        from nerf2mesh.run.exact import run_exact  # its packages are an extra

        return run_exact(config, overrides, rights)
    clock = StageClock(meter=EnergyMeter(config.report.power_w))
    with clock.stage("input"), candidates_in(config.output_dir):
        begun = begin_round(config, observations)
        if begun is not None:
            observations = observe_round(config, begun, observations)
        elif observations is None:
            observations = observe(config)
    asked, config = config, with_adapter_of_kind(config, observations, own_prior=own.prior is not None)
    rights = with_packaged(rights, asked, config)
    check_light(config.field, observations.views)
    ranks = Ranks.join(config.seed)
    ranks.check(config.distill.loss, *([config.second.distill.loss] if config.second else []))
    device = ranks.device(config.device)
    check_memory(config, device)
    own_folder = Path(config.output_dir) if config.output_dir is not None and ranks.is_first else None
    control = control or RunControl()
    with alone_in(own_folder), scratch_in(own_folder), ExitStack() as views:
        return _run(config, overrides, observations, ranks, device, clock, own, rights, control, watch, views, begun)


def _run(
    config: Config,
    overrides: Sequence[str],
    observations: Observations,
    ranks: Ranks,
    device: str,
    clock: StageClock,
    own: OwnCode,
    rights: Rights,
    control: RunControl,
    watch: Watch | None,
    views: ExitStack,
    begun: Round | None,
) -> Result:
    """From the input to the result. Of several processes the first alone has a folder and makes the mesh.

    views: closes the live view, which is entered here, at the end.
    """
    folder = RunFolder.open(config, overrides, observations, own.names()) if ranks.is_first else None
    said: list[str] = []
    with clock.stage("prior"), kept(said):
        of_input = cast(Sequence[str], observations.notes.get("warnings", ()))
        warn([*rights.notices, *of_input, *told(folder.changed if folder else {})])
        apart, found_light = albedo_input(config, observations, begun)
        seen = apart.observations
        guidance = load_guidance(config, seen, device, own.prior)
        origin = made_from(config, observations, guidance.priors, folder, begun) | named(own) if ranks.is_first else {}
        record = run_record(config, rights, origin, observations) if ranks.is_first else None
    given, observations = observations, seen

    field = HashGridField(config.field, torch.Generator().manual_seed(config.seed))
    field.bound = bound_of(observations.views)
    field = field.to(device)
    check_ready(config, field, folder.path if folder else None)
    occupancy = OccupancyGrid(config.renderer.occupancy_resolution).to(device)
    renderer = VolumeRenderer(config.renderer, field, occupancy)
    state = LoopState.fresh(field, occupancy, config.optimize.lr_encoding, config.optimize.lr_network, config.seed)
    notes = said
    if folder is not None and has_checkpoint(folder / LAST, folder / EARLIER):
        said += warn(state.load(folder / LAST))
        notes = [f"continued from step {state.step}", *said]

    refining = None
    if begun is not None:
        with clock.stage("start"):
            refining = start_field(state, begun, renderer, config, folder)
    fresh = state.step == 0 and begun is None
    watch = views.enter_context(
        shown(watch, config, observations, guidance, device, control, folder, ranks, clock, fresh=fresh)
    )
    spread = find_spread(config, observations, guidance, clock, is_first=ranks.is_first)
    with clock.stage("adapt"):
        adapt(state, guidance.prior, observations, config, folder, ranks)
    problem = Problem(
        observations=observations,
        prior=guidance.prior,
        condition=guidance.condition,
        second=guidance.second,
        renderer=renderer,
        pixels=GivenPixels(
            targets(with_guesses(config, observations, guidance), begun, steered=config.distill.weight > 0),
            torch.device(device),
        ),
        config=config.optimize,
        distill=config.distill,
        clock=clock,
        average=ranks.average if ranks.count > 1 else None,
        loggers=config.report.loggers,
        loss=own.loss,
        spread=spread,
        finishes=apart.finishes,
    )
    if begun is not None:
        bound(problem, begun)
    quiet, asked = config.report.quiet or not ranks.is_first, config.distill
    watched = memory.watched(
        guidance.prior, guidance.condition, n_views=asked.n_views, n_branches=asked.n_branches, field=field, quiet=quiet
    )
    with views:
        with watched, clock.stage("optimize"):
            run_loop(state, problem, config, folder, ranks, control, watch, record)
        ranks.leave()
        if watch:
            watch.finishing()
        said = [*state.events, *by_hand(control, state)]
        if control.made and ranks.is_first:
            origin |= {"interventions": [str(item) for item in control.made]}
            record = run_record(config, rights, origin, given)
        result = Result(None, field, renderer, observations, config, warnings=[*notes, *said], history=problem.history)
        result.spread, result.metrics = spread, spread_mean(spread)
        result.light, result.finishes = found_light or light_in(state), apart.finishes
        result.lit_views = given.views
        if ranks.is_first:
            result.record, result.attribution = record, attribution_page(rights.materials, config.use)
            warn(said)
            finish(result, guidance.prior, origin, folder, clock, refining)
        if watch:
            watch.finished()
    return result
