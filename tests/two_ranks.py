"""One of several torchrun processes: a short run on the ball, each rank's field written down. See test_distributed."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from nerf2mesh.optimize import optimize
from nerf2mesh.run.ranks import Ranks
from tests.optimize.scene import problem

STEPS, SEED = 5, 3


def main() -> None:
    torch.set_num_threads(1)
    ranks = Ranks.join(SEED)
    state, task = problem(steps=STEPS, seed=SEED + ranks.rank)  # fields that differ until they are shared
    ranks.share(state)
    task.average = ranks.average
    optimize(state, task, on_step=ranks.reseed)
    torch.save(state.values(), Path(sys.argv[1]) / f"rank{ranks.rank}.pt")
    ranks.leave()


if __name__ == "__main__":
    main()
