"""Two processes that average their gradients end where one process ends that looks through both their cameras."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nerf2mesh.inputs import demo_picture
from nerf2mesh.optimize import step
from nerf2mesh.run.ranks import OWN_STREAMS, Ranks, stream_seed
from tests.optimize.scene import problem
from tests.optimize.test_loop import assert_equal
from tests.two_ranks import SEED, STEPS

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def environment() -> dict[str, str]:
    root = Path(__file__).resolve().parents[1]
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}


class Captured(Exception):
    pass


def one_process_with_the_views_of(count: int) -> dict[str, torch.Tensor]:
    """Every step is asked `count` times for its gradient, each time with another rank's random numbers."""
    state, task = problem(steps=STEPS, seed=SEED)
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    for _ in range(STEPS):
        before, found = state.snapshot(), []
        for rank in range(count):
            state.roll_back(before)
            Ranks(rank, count, SEED).reseed(state)

            def capture(state, numbers, found=found):
                found.append([p.grad.clone() for p in parameters])
                raise Captured

            task.average = capture
            with pytest.raises(Captured):
                step(state, task)
        state.roll_back(before)
        Ranks(0, count, SEED).reseed(state)

        def put_mean(state, numbers, found=found):
            for p, *grads in zip(parameters, *found, strict=True):
                p.grad = torch.stack(grads).mean(dim=0)
            return numbers

        task.average = put_mean
        step(state, task)
    return state.field.state_dict()


@pytest.mark.slow
def test_two_ranks_are_one_with_the_same_views(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    command = [*TORCHRUN, "-m", "tests.two_ranks", str(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"rank{r}.pt", weights_only=True) for r in (0, 1))
    assert_equal(first["field"], second["field"])
    assert_equal(first["occupancy"], second["occupancy"])
    assert not torch.equal(first["generators"]["camera"], second["generators"]["camera"]), "each its own views"
    alone = one_process_with_the_views_of(2)
    apart = max(float((first["field"][k].float() - alone[k].float()).abs().max()) for k in alone)
    assert apart < 1e-6
    single = one_process_with_the_views_of(1)
    moved = max(float((single[k].float() - alone[k].float()).abs().max()) for k in alone)
    assert moved > 1e-3, "one rank's views alone lead elsewhere, or the test would show nothing"


def test_streams_differ_by_rank_step_and_name() -> None:
    seeds = {stream_seed(0, n, s, r) for n in OWN_STREAMS for s in range(10) for r in range(4)}
    assert len(seeds) == len(OWN_STREAMS) * 40 and all(0 <= s < 2**63 for s in seeds)


def test_alone_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = Ranks.join(5)
    state, _ = problem(steps=1)
    before = state.snapshot()
    ranks.share(state)
    ranks.reseed(state)
    ranks.leave()
    assert ranks.is_first and state.snapshot() == before


def test_gradients_and_numbers_become_their_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a rank whose gradients and numbers are three times ours."""
    state, _ = problem(steps=1)
    first, *others = [p for group in state.optimizer.param_groups for p in group["params"]]
    first.grad = torch.arange(float(first.numel())).view_as(first)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda ours: ours.mul_(4.0))
    ranks = Ranks(0, 2)
    assert ranks.average(state, {"loss": 0.5, "psnr": 3.0}) == {"loss": 1.0, "psnr": 6.0}
    assert torch.equal(first.grad, 2.0 * torch.arange(float(first.numel())).view_as(first)) and not ranks.stop_asked
    assert others and all(p.grad is not None and not p.grad.any() for p in others)


def test_losses_that_train_an_adapter_want_one_process() -> None:
    Ranks(0, 1).check("vsd")
    Ranks(1, 2).check("sds")
    with pytest.raises(ValueError, match="with 2 processes, got vsd"):
        Ranks(0, 2).check("vsd")


@pytest.mark.slow
def test_the_command_under_torchrun(tmp_path: Path) -> None:
    settings = (f"input.image={demo_picture()}", "preset=tiny", f"output_dir={tmp_path}", "threads=1")
    command = [*TORCHRUN, "-m", "nerf2mesh.cli", *settings]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mesh.glb").is_file() and done.stdout.count("done") == 1
