"""One run on several GPUs: each process looks from its own cameras, and all take the mean of their gradients.

    torchrun --nproc_per_node=4 -m nerf2mesh.cli input.image=cup.png device=auto

Every process holds the whole field and the frozen prior. At each step it draws cameras, pixels and noise of its own;
gradients are averaged before the optimizer's step, so the fields stay equal without being sent. The streams of random
numbers are drawn anew at each step from (seed, stream, step, rank): no process has anything to remember, and a run goes
on from the checkpoint that the first process writes. What decides about the run (the numbers that the health watch
sees, a request to stop) is averaged too, so that all decide alike. The first process alone writes files and the mesh.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from nerf2mesh.optimize import LoopState
from nerf2mesh.run.preemption import SIGNALS_SEEN

OWN_STREAMS = ("camera", "noise", "time", "pixel", "background", "jitter", "regularizer")
"""Streams in which the ranks differ; in the others (occupancy, adapt, ...) they must agree."""
LEARNING_LOSSES = ("vsd", "bsd")


@dataclass
class Ranks:
    """This process among those of the run: `rank` of `count`; the only one by default."""

    rank: int = 0
    count: int = 1
    seed: int = 0
    stop_asked: bool = field(default=False, init=False)

    @staticmethod
    def join(seed: int) -> Ranks:
        """What torchrun's variables say; alone without them."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return Ranks(seed=seed)
        if not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        return Ranks(dist.get_rank(), count, seed)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the files of the run and talks to the user."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """The torch device for `Config.device`; each process of a machine takes its own GPU where GPUs are used.

        ValueError where a GPU is asked for and there is none.
        """
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        elif wanted.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device: expected one that torch finds here, got {wanted} and no GPU; set device=cpu")
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if self.count > 1 and wanted == "cuda" else wanted

    def check(self, *losses: str) -> None:
        """ValueError for a loss that trains an adapter as it goes: those gradients are not averaged."""
        for loss in losses:
            if self.count > 1 and loss in LEARNING_LOSSES:
                raise ValueError(
                    f"distill.loss: expected one that trains the field alone with {self.count} processes, got {loss}; "
                    "start one process, or choose another loss"
                )

    def share(self, state: LoopState) -> None:
        """All processes go on from the first one's state."""
        if self.count == 1:
            return
        box = [state.snapshot() if self.is_first else None]
        dist.broadcast_object_list(box, src=0)
        if not self.is_first:
            assert box[0] is not None
            state.roll_back(box[0])
        self.reseed(state)

    def reseed(self, state: LoopState) -> None:
        """This rank's own random numbers for the next step."""
        for name in OWN_STREAMS if self.count > 1 else ():
            state.generators[name].manual_seed(stream_seed(self.seed, name, state.step, self.rank))

    def average(self, state: LoopState, numbers: dict[str, float]) -> dict[str, float]:
        """Gradients become their mean over all ranks, in place; returns the numbers' means."""
        parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.flatten() for p in parameters])
        dist.all_reduce(flat)
        for parameter, mean in zip(parameters, (flat / self.count).split([p.numel() for p in parameters])):
            parameter.grad.copy_(mean.view_as(parameter))
        return self._mean_numbers(numbers)

    def leave(self) -> None:
        """The others may end; the first goes on alone."""
        if self.count > 1 and dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()

    def _mean_numbers(self, numbers: dict[str, float]) -> dict[str, float]:
        row = [*numbers.values(), float(SIGNALS_SEEN.received is not None)]
        means: Tensor = torch.tensor(row, dtype=torch.float64)
        dist.all_reduce(means)
        self.stop_asked = float(means[-1]) > 0
        return dict(zip(numbers, (means[:-1] / self.count).tolist()))


def stream_seed(seed: int, name: str, step: int, rank: int) -> int:
    """A seed for one stream at one step of one rank; unrelated for neighbors."""
    digest = hashlib.sha256(f"{seed}/{name}/{step}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
