"""Changes by hand: lines that repeat them, when they are made, what is refused, and runs that make them again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import nerf2mesh
from nerf2mesh.distill import DistillConfig
from nerf2mesh.optimize import LoopState, OptimizeConfig, Problem, RunControl
from nerf2mesh.optimize.interventions import Intervention, parsed
from nerf2mesh.run import run_fit
from nerf2mesh.types import Observations
from tests.tiny_run import PLAIN

ITEMS = [
    Intervention(100, "distill.weight", 0.5),
    Intervention(0, "distill.guidance_scale", 7.0),
    Intervention(12, "input.prompt", "a red cup, with = and 'quotes'"),
    Intervention(3, "lora.weights", (0.25, 1.0)),
    Intervention(180, "stop", 240.0),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.setting)
def test_a_line_reads_back_as_what_it_says(item: Intervention) -> None:
    assert parsed(str(item)) == item


@pytest.mark.parametrize(
    "line",
    ["", "stop", "-1 stop of 3", "5 distill.weight=", "5 distill.weight=nan", "5 distill.weight=true", "5 seed=3",
     "5 lora.weights=1", "5 lora.weights=[true]", "x distill.weight=1", "5 distill.weight=" + "[" * 100_000],
)  # fmt: skip
def test_other_lines_are_refused_in_one_line(line: str) -> None:
    with pytest.raises(ValueError, match=": expected ") as caught:
        OptimizeConfig(interventions=(line,))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@dataclass
class Place:
    """What the control looks at of a problem."""

    distill: DistillConfig = field(default_factory=lambda: DistillConfig(weight=1.0))
    config: OptimizeConfig = field(default_factory=lambda: OptimizeConfig(steps=10))
    observations: Observations = field(default_factory=Observations)
    condition: object = None
    prior: object = field(
        default_factory=lambda: SimpleNamespace(
            condition=lambda observations: f"condition of {observations.prompt}", network=torch.nn.Linear(2, 2)
        )
    )


def _at(control: RunControl, step: int, place: Place, **more) -> bool:
    return control.between_steps(SimpleNamespace(step=step), place, **more)


def test_planned_changes_wait_for_their_step_and_come_in_order() -> None:
    control, place = RunControl(), Place()
    control.plan(["4 distill.weight=3.0", "2 distill.weight=2.0", "2 input.prompt=a  cup"])
    seen = []
    for step in range(6):
        assert not _at(control, step, place)
        seen.append(place.distill.weight)
    assert seen == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    assert place.observations.prompt == "a cup" and place.condition == "condition of a cup"


def test_a_run_that_goes_on_later_makes_all_that_was_due_at_once() -> None:
    control, place = RunControl(), Place()
    control.plan(["1 distill.weight=2.0", "3 distill.weight=4.0", "9 distill.weight=5.0"])
    _at(control, 5, place)
    assert place.distill.weight == 4.0


def test_a_stop_counts_for_the_number_of_steps_it_names() -> None:
    for planned, ends in ((10, True), (8, False)):
        control = RunControl()
        control.plan([f"3 stop of {planned}"])
        assert _at(control, 3, Place()) is ends


def test_what_the_settings_refuse_is_told_and_not_recorded() -> None:
    control, place, noted = RunControl(), Place(), []
    control.change("distill.weight", -1.0)
    control.change("distill.guidance_scale", 3)
    control.change("lora.weights", [1.0])
    _at(control, 2, place, record=noted.append)
    assert [str(item) for item in noted] == ["2 distill.guidance_scale=3.0"]
    assert place.distill.weight == 1.0 and place.distill.guidance_scale == 3.0
    assert len(control.refused) == 2 and all(": expected " in line for line in control.refused)
    with pytest.raises(ValueError, match=r"^setting: expected one of"):
        control.change("seed", 3)


def test_a_paused_loop_waits_takes_changes_and_can_be_stopped() -> None:
    control, place, calls = RunControl(), Place(), []

    def waiting() -> None:
        calls.append(place.distill.weight)
        if len(calls) == 1:
            control.change("distill.weight", 0.25)
        else:
            control.stop()

    control.pause()
    assert _at(control, 1, place, waiting=waiting)
    assert calls[0] == 1.0 and place.distill.weight == 0.25 and not control.paused


def _weights(result) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in result.field.parameters()])


class Hand:
    """A watch that changes the weight after step 1 and stops after step 3 of 4."""

    def __init__(self, control: RunControl, ends: bool = True) -> None:
        self.control, self.ends = control, ends

    def step(self, state: LoopState, problem: Problem) -> None:
        if state.step == 1:
            self.control.change("distill.weight", 0.0)
        if state.step == 3 and self.ends:
            self.control.stop()

    def keep(self, state: LoopState, folder: Path) -> None: ...
    def finishing(self) -> None: ...
    def finished(self) -> None: ...


def test_what_was_changed_by_hand_is_recorded_and_repeats_bit_for_bit(tmp_path: Path) -> None:
    image = nerf2mesh.demo_picture()
    overrides = [*PLAIN, f"input.image={image}"]
    control = RunControl()
    config = nerf2mesh.load_config([*overrides, f"output_dir={tmp_path / 'watched'}"])
    watched = run_fit(config, control=control, watch=Hand(control))
    lines = json.loads((tmp_path / "watched/interventions.json").read_text())
    assert lines == ["1 distill.weight=0.0", "3 stop of 4"]
    assert json.loads((tmp_path / "watched/provenance.json").read_text())["interventions"] == lines
    assert any("stopped by hand after 3 steps" in line for line in watched.warnings)
    assert watched.mesh is not None
    repeated = nerf2mesh.fit(overrides=[*overrides, f"optimize.interventions={json.dumps(lines)}"])
    assert torch.equal(_weights(watched), _weights(repeated))
    again = nerf2mesh.fit(config=config)  # the same folder: it is done, and stays stopped
    assert torch.equal(_weights(watched), _weights(again))
    longer = nerf2mesh.load_config([*overrides, f"output_dir={tmp_path / 'watched'}", "optimize.steps=5"])
    went_on = run_fit(longer)
    assert not torch.equal(_weights(watched), _weights(went_on))
    assert '"step": 5' in (tmp_path / "watched/metrics.jsonl").read_text()
