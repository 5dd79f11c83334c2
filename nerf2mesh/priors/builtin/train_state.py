"""Everything that a continued training of the built-in prior needs, in memory and on disk."""

from __future__ import annotations

import copy
import io
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nerf2mesh.priors.builtin.network import MultiViewDenoiser
from nerf2mesh.priors.builtin.optimizer import MuonAdamW
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.priors.builtin.weight_files import starting_weights
from nerf2mesh.utils.checkpoint import MAX_BYTES, readable, restore_newest, write_checkpoint
from nerf2mesh.utils.regular_file import read_regular


@dataclass
class TrainState:
    """Everything that a continued run needs."""

    network: MultiViewDenoiser
    average: MultiViewDenoiser
    optimizer: MuonAdamW | torch.optim.AdamW
    generator: torch.Generator
    step: int = 0
    frames_seen: int = 0
    seconds: float = 0.0

    @staticmethod
    def fresh(config: PriorTrainConfig) -> TrainState:
        """The state before the first step: network, its average (a copy), optimizer and generator from `config`.

        It starts from `config.weights` where they are given; with `words_only` only the words' embedding is trained.
        """
        torch.manual_seed(config.seed)
        network = config.network.build().to(config.device)
        if config.weights:
            network.load_state_dict(network.state_dict() | starting_weights(Path(config.weights), config.network))
        average = config.network.build().to(config.device).requires_grad_(False)
        average.load_state_dict(network.state_dict())
        if config.words_only:
            assert network.words is not None, "checked by PriorTrainConfig"
            network.requires_grad_(False)
            network.words.requires_grad_(True)
            optimizer = torch.optim.AdamW(network.words.parameters(), config.learning_rate, weight_decay=0.0)
        else:
            optimizer = MuonAdamW(network, config.learning_rate)
        return TrainState(network, average, optimizer, torch.Generator().manual_seed(config.seed))

    def values(self) -> dict[str, Any]:
        """All of it as tensors and numbers, not copied."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "counts": [self.step, self.frames_seen, self.seconds],
        }

    def save(self, path: Path) -> None:
        """Writes the state to `path`, aside and renamed."""
        write_checkpoint(path, self.values())

    def save_small(self, path: Path) -> None:
        """The same at a third of the size: weights as float16, the optimizer's means as bfloat16."""
        values = self.values()
        kinds = {"network": torch.float16, "average": torch.float16, "optimizer": torch.bfloat16}
        write_checkpoint(path, values | {name: _rounded(values[name], dtype) for name, dtype in kinds.items()})

    def about(self, config: PriorTrainConfig) -> dict[str, object]:
        """What the header of exported weights says: how much was seen, and the whole configuration."""
        counts: dict[str, object] = {"steps": self.step, "frames": self.frames_seen, "seconds": round(self.seconds)}
        return {**counts, "config": asdict(config)}

    def load(self, path: Path) -> list[str]:
        """Takes over the state in `path`, or the one before it where this one is damaged; returns what to say.

        A .pt file of an earlier version is read as torch wrote it, without running code and without a checksum.

        Raises:
            ValueError: no state can be used: damaged, or of another network or optimizer.
        """
        if path.suffix != ".pt":
            return restore_newest(path, self.restore)
        with readable(path):
            try:
                values = torch.load(io.BytesIO(read_regular(path, limit_bytes=MAX_BYTES)), "cpu", weights_only=True)
            except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
                raise ValueError("a damaged file") from error
            self.restore(values)
        return []

    def restore(self, values: dict[str, Any]) -> None:
        """Takes over `values()`; what cannot be used raises whatever torch raises."""
        self.network.load_state_dict(values["network"])
        self.average.load_state_dict(values["average"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.generator.set_state(values["generator"])
        self.step, self.frames_seen, self.seconds = values["counts"]


def _rounded(values: Any, dtype: torch.dtype) -> Any:
    """`values` with its floating-point tensors in another type; single numbers, such as counts of steps, stay."""
    if isinstance(values, dict):
        return {key: _rounded(value, dtype) for key, value in values.items()}
    if isinstance(values, list):
        return [_rounded(value, dtype) for value in values]
    if isinstance(values, torch.Tensor) and values.is_floating_point() and values.ndim:
        return values.to(dtype)
    return values


class LastGood:
    """A copy of the last state whose weights were finite, to which a training goes back from others.

    A single loss that is not finite makes all weights so, and the average, which is what gets exported, with them.
    """

    TRIES = 3

    def __init__(self, state: TrainState) -> None:
        self.state, self.failed = state, 0
        self._keep()

    def _keep(self) -> None:
        values = self.state.values()
        self.values = {name: copy.deepcopy(values[name]) for name in ("network", "average", "optimizer")}

    @torch.no_grad()
    def check(self) -> bool:
        """Keeps the present state (True), or goes back to the last good one and says so; waits for a GPU.

        Raises:
            ValueError: it had to go back TRIES times in a row.
        """
        if bool(torch.stack([p.sum() for p in self.state.network.parameters()]).isfinite().all()):
            self._keep()
            self.failed = 0
            return True
        self.failed += 1
        if self.failed >= self.TRIES:
            raise ValueError(
                f"learning_rate: expected finite weights, got others at step {self.state.step}, {self.TRIES} times in "
                "a row; lower it and run the same command, which goes on from the last good state"
            )
        values = self.state.values() | copy.deepcopy(self.values)
        self.state.restore(values)
        print(f"weights were not finite at step {self.state.step}: back to those of the last check", flush=True)
        return False
