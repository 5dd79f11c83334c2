"""Steps of the loop as one launch: the same bits as ordinary steps, with a stand-in for a CUDA graph."""

from __future__ import annotations

import warnings

import pytest
import torch

from benchmarks.gpu.operator_tape import tape
from nerf2mesh.distill import DistillConfig
from nerf2mesh.kernels import _call, winograd
from nerf2mesh.optimize import LoopState, Problem, optimize, replay, step
from nerf2mesh.optimize.replay import hindrance, recorder_of
from nerf2mesh.priors import BuiltinPrior
from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.render import VolumeRenderer
from tests.optimize.scene import BallPrior, problem

NETWORK = DenoiserConfig(image_size=16, channels=8, volume_size=4, volume_channels=8, deep_channels=8, n_deep=1)


class RecordableBall(BallPrior):
    recordable = True


def builtin() -> BuiltinPrior:
    """One whose layers are all heard: new ones end in zeros."""
    torch.manual_seed(3)
    network = NETWORK.build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return BuiltinPrior(network)


@pytest.fixture
def fixed_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers have the size of their capacity and convolutions are torch's, as on a GPU; the CPU's own ones write
    where the stand-in does not see it."""
    monkeypatch.setattr(winograd, "_applies", lambda *_: False)
    monkeypatch.setattr(_call, "keeps_capacity", lambda like: True)
    monkeypatch.setattr(VolumeRenderer, "_may_bound", lambda self: True)


def never(function):
    raise AssertionError("nothing is to be recorded")


def ran(n: int, recorder, *, prior=None, **options) -> tuple[LoopState, Problem, list[dict]]:
    """State, problem and what was measured, as numbers, after n steps."""
    state, task = problem(steps=40, prior=prior or RecordableBall(), **options)
    state.field.train()
    replay.recorder_of(state, task, recorder) if recorder else None
    measured = [{k: float(v) for k, v in step(state, task).items()} for _ in range(n)]
    return state, task, measured


def assert_same(one: LoopState, other: LoopState) -> None:
    for a, b in zip(one.field.parameters(), other.field.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(one.generators[k].get_state(), other.generators[k].get_state()) for k in one.generators)


@pytest.mark.parametrize("prior", [RecordableBall, builtin])
def test_replayed_steps_are_ordinary_ones(fixed_sizes, monkeypatch: pytest.MonkeyPatch, prior) -> None:
    """The same bits in the field, the same numbers, the same draws; the ordinary run has the same sizes of buffers."""
    distill = DistillConfig(supersample=1, n_views=2)
    state, task, measured = ran(14, tape, prior=prior(), distill=distill)
    assert task.recorder.recorded.count >= 1 and not task.recorder.recorded.failed
    monkeypatch.setattr("nerf2mesh.utils.recorded.WARM_UP", 10**9)
    wanted, plain, expected = ran(14, never, prior=prior(), distill=distill)
    assert plain.recorder.recorded.count == 0
    assert measured == expected
    assert_same(state, wanted)


def test_with_exact_sizes_a_recorder_changes_nothing() -> None:
    """On a CPU nothing has a fixed size, so that all steps are ordinary: through the recorder's way, the same bits."""
    state, _, measured = ran(5, never)
    wanted, _, expected = ran(5, None)
    assert measured == expected
    assert_same(state, wanted)


def test_another_number_of_levels_is_recorded_again(fixed_sizes) -> None:
    state, task, _ = ran(10, tape)
    before, levels = task.recorder.recorded.count, state.field.n_active_levels
    state.step = 39
    for _ in range(5):
        step(state, task)
        state.step = 39
    assert state.field.n_active_levels > levels
    assert task.recorder.recorded.count > before


@pytest.mark.parametrize("planted", ["value", "number"])
def test_what_the_host_decides_is_found(fixed_sizes, monkeypatch: pytest.MonkeyPatch, planted: str) -> None:
    """A value that is read makes the recording fail, which is said once; a number outside the key changes bits."""
    from nerf2mesh.optimize import loop

    norm = loop.gradient_norm
    reads = {"value": lambda s: norm(s) * min(1.0, float(norm(s))), "number": lambda s: norm(s) * (1.0 + s.step)}
    monkeypatch.setattr(loop, "gradient_norm", reads[planted])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _, task, measured = ran(8, tape)
    monkeypatch.setattr("nerf2mesh.utils.recorded.WARM_UP", 10**9)
    _, _, expected = ran(8, never)
    found = [str(w.message) for w in said if "recorded" in str(w.message)]
    assert task.recorder.recorded.failed == (planted == "value") == (len(found) == 1)
    assert (measured == expected) == (planted == "value")


def test_what_cannot_be_recorded_says_so_once() -> None:
    state, task = problem(steps=2, cuda_graph=True)
    assert "BallPrior" in hindrance(state, task)
    with pytest.warns(UserWarning, match=r"optimize\.cuda_graph: steps with the prior BallPrior are not recorded"):
        assert recorder_of(state, task) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimize(state, task)
    state, task = problem(steps=2, prior=RecordableBall(), cuda_graph=True)
    with pytest.warns(UserWarning, match="the device cpu"):
        assert recorder_of(state, task) is None


@pytest.mark.parametrize("loss", ["csd", "asd", "vsd", "ism"])
def test_losses_that_look_at_more_are_not_recorded(loss: str) -> None:
    state, task = problem(steps=2, prior=RecordableBall(), distill=DistillConfig(loss=loss))
    assert f"distill.loss={loss}" in hindrance(state, task)
