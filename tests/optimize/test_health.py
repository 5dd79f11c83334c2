from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nerf2mesh.optimize import optimize
from nerf2mesh.optimize.health import MAX_REMEDIES, HealthWatch, Vitals
from nerf2mesh.optimize.loop import PendingMetrics
from nerf2mesh.utils.device_copy import LAG
from tests.optimize.scene import BallPrior, problem

WELL = Vitals(loss=0.1, mean_opacity=0.2, half_open=0.1, progress=0.5)


def check_often(watch: HealthWatch, state, vitals: Vitals, n: int = 20) -> str | None:
    said = None
    for _ in range(n):
        said = said or watch.check(state, vitals)
    return said


def test_a_healthy_run_is_left_alone() -> None:
    state, _ = problem(steps=4)
    before = {k: v.clone() for k, v in state.field.state_dict().items()}
    assert check_often(HealthWatch(state), state, WELL, 100) is None
    assert all(torch.equal(v, before[k]) for k, v in state.field.state_dict().items())


def test_not_a_number_goes_back_and_slows_down() -> None:
    state, _ = problem(steps=4)
    watch = HealthWatch(state)
    before = {k: v.clone() for k, v in state.field.state_dict().items()}
    with torch.no_grad():
        for p in state.field.parameters():
            p.fill_(float("nan"))
    said = watch.check(state, Vitals(float("nan"), 0.2, 0.1, 0.5))
    assert "not finite" in said
    assert state.factors["rate"] == 0.5
    assert all(torch.equal(v, before[k]) for k, v in state.field.state_dict().items())


@pytest.mark.parametrize(
    ("vitals", "word", "factor"),
    [
        (Vitals(0.1, 0.0, 0.0, 0.5), "started again", "distill"),
        (Vitals(0.1, 0.99, 0.0, 0.5), "blocked", "sparsity"),
        (Vitals(0.1, 0.3, 0.9, 0.9), "neither clear nor blocked", "entropy"),
    ],
)
def test_each_sickness_has_its_remedy(vitals: Vitals, word: str, factor: str) -> None:
    state, _ = problem(steps=4)
    said = check_often(HealthWatch(state), state, vitals)
    assert word in said
    assert factor in state.factors
    assert state.events == [said]


def test_a_resumed_run_starts_again_from_the_beginning_and_goes_on_counting(tmp_path: Path) -> None:
    """19 empty steps, a checkpoint, one more: the field is that of step 0, not the empty one of the checkpoint."""
    empty = Vitals(0.1, 0.0, 0.0, 0.5)
    state, _ = problem(steps=4)
    first = {k: v.clone() for k, v in state.field.state_dict().items()}
    assert check_often(HealthWatch(state), state, empty, 19) is None
    with torch.no_grad():
        for p in state.field.parameters():
            p.fill_(-1.0)
    state.step = 19
    state.save(tmp_path / "last.pt")
    resumed, _ = problem(steps=4)
    resumed.load(tmp_path / "last.pt")
    assert "started again" in HealthWatch(resumed).check(resumed, empty)
    assert resumed.step == 19
    assert all(torch.equal(v, first[k]) for k, v in resumed.field.state_dict().items())


def test_it_gives_up_with_a_reason() -> None:
    state, _ = problem(steps=4)
    watch = HealthWatch(state)
    for _ in range(MAX_REMEDIES):
        assert check_often(watch, state, Vitals(0.1, 0.99, 0.0, 0.5))
    with pytest.raises(ValueError, match="remedies"):
        check_often(watch, state, Vitals(0.1, 0.99, 0.0, 0.5))


def test_a_prior_that_answers_with_nan_does_not_break_the_run() -> None:
    class Sick(BallPrior):
        asked = 0

        def predict(self, noisy, *more, **named):
            self.asked += 1
            return super().predict(noisy, *more, **named) * (float("nan") if self.asked == 5 else 1.0)

    state, task = problem(steps=6, prior=Sick())
    events = optimize(state, task)
    assert len(events) == 1
    assert state.step == 6
    assert all(bool(torch.isfinite(p).all()) for p in state.field.parameters())


def test_vitals_that_come_late_make_no_sick_copy_healthy() -> None:
    """Copied at step 50, before its numbers are there; they turn out not to be finite."""
    state, _ = problem(steps=4)
    watch = HealthWatch(state)
    good = {k: v.clone() for k, v in state.field.state_dict().items()}
    state.step = 50
    with torch.no_grad():
        for p in state.field.parameters():
            p.fill_(float("nan"))
    assert watch.check(state, replace(WELL, step=46)) is None
    assert watch.check(state, replace(WELL, step=50, loss=float("nan"))).startswith("step 50: values were not finite")
    assert state.step == 0 and all(torch.equal(v, good[k]) for k, v in state.field.state_dict().items())


def test_a_copy_counts_once_its_own_step_was_looked_at() -> None:
    state, _ = problem(steps=4)
    watch = HealthWatch(state)
    state.step = 50
    for at in (46, 50):
        assert watch.check(state, replace(WELL, step=at)) is None
    state.step = 53
    assert watch.check(state, replace(WELL, step=51, loss=float("inf")))
    assert state.step == 50


def test_numbers_come_late_on_a_device_and_all_at_the_end() -> None:
    late, now = PendingMetrics(torch.device("meta")), PendingMetrics(torch.device("cpu"))
    for step in range(10):
        for queue, wanted in ((late, [step - LAG] if step >= LAG else []), (now, [step])):
            queue.add(step, {"loss": torch.tensor(2.0 * step), "t": 0.5})
            arrived = list(queue.arrived())
            assert [at for at, _ in arrived] == wanted
            assert all(numbers == {"loss": 2.0 * at, "t": 0.5} for at, numbers in arrived)
    assert [at for at, _ in late.arrived(all_of_them=True)] == list(range(10 - LAG, 10))


def test_a_field_that_is_not_finite_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    state, _ = problem(steps=4)
    state.save(tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()
    with torch.no_grad():
        next(iter(state.field.parameters())).view(-1)[7] = float("inf")
    state.save(tmp_path / "last.pt")
    assert (tmp_path / "last.pt").read_bytes() == before
