import pytest
import torch

from nerf2mesh.optimize import optimize
from nerf2mesh.optimize.health import MAX_REMEDIES, HealthWatch, Vitals
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
