"""Training steps whose passes are one launch: the same bits as ordinary ones, with a stand-in for a CUDA graph."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.operator_tape import tape
from nerf2mesh.kernels import winograd
from nerf2mesh.priors.builtin import train
from nerf2mesh.priors.builtin.train import recorded_passes, train_step
from nerf2mesh.priors.builtin.train_state import TrainState
from nerf2mesh.procedural.dataset import render_seeds
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.utils.recorded import Recorded
from tests.priors.test_train import VIEWS, config


@pytest.fixture(autouse=True)
def convolutions_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; the CPU's own are no operators of torch, so that the stand-in does not see them."""
    monkeypatch.setattr(winograd, "_applies", lambda *_: False)


def trained(n: int, recorded: Recorded | None, *, reader: bool = True) -> tuple[TrainState, list[float]]:
    """State and losses after n steps, on two batches in turn."""
    c = config(reader=reader)
    batches = [render_seeds(range(4 * k, 4 * k + 4), VIEWS, SceneRenderer()) for k in range(2)]
    state = TrainState.fresh(c)
    rates = [2e-3 / (k + 1) for k in range(n)]
    return state, [float(train_step(state.network, state, batches[k % 2], c, rates[k], recorded)) for k in range(n)]


def recorder() -> Recorded:
    return Recorded("a training step", torch.device("cpu"), tape)


@pytest.mark.parametrize("reader", [True, False])
def test_replayed_steps_are_ordinary_ones(reader: bool) -> None:
    recorded = recorder()
    state, losses = trained(5, recorded, reader=reader)
    assert recorded.count == 1 and not recorded.failed
    wanted, expected = trained(5, None, reader=reader)
    assert losses == expected and len({*losses}) == 5
    for one, other in ((state.network, wanted.network), (state.average, wanted.average)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_planted_read_ends_recording_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    right = train.velocity_loss
    reading = lambda *a, **k: right(*a, **k) * max(1.0, float(a[1].mean() > 2.0))
    wanted, expected = trained(4, None)
    monkeypatch.setattr(train, "velocity_loss", reading)
    recorded = recorder()
    with pytest.warns(UserWarning, match="asks for a value"):
        state, losses = trained(4, recorded)
    assert recorded.failed and losses == expected
    assert all(torch.equal(a, b) for a, b in zip(state.network.parameters(), wanted.network.parameters()))


def test_on_a_cpu_it_is_said_that_nothing_is_recorded() -> None:
    with pytest.warns(UserWarning, match="cuda_graph: steps on the device cpu"):
        assert recorded_passes(config(cuda_graph=True)) is None
    assert recorded_passes(config()) is None
