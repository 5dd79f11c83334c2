"""The loop's state: all that changes from step to step, in one object that is saved and loaded whole.

A run that is loaded from its checkpoint goes on bit for bit as if it had not stopped (on a CPU).
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as new
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import torch

from nerf2mesh.fields import HashGridField
from nerf2mesh.kernels import FusedAdam
from nerf2mesh.render import OccupancyGrid
from nerf2mesh.utils.atomic_write import atomic_write

STREAMS = (
    "camera", "noise", "time", "pixel", "background", "jitter", "regularizer", "occupancy", "adapt", "inversion", "phi"
)  # fmt: skip
"""One random generator for each use, so that changing one use does not disturb the others."""


class Part(Protocol):
    """Something with a state of its own that belongs to the run's."""

    def state_dict(self) -> dict[str, Any]:
        """What is saved with the run: tensors, numbers and strings only."""
        ...

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        ...


SomePart = TypeVar("SomePart", bound=Part)


@dataclass
class LoopState:
    """See the module's text. `factors` scales terms of the objective; `symptoms` counts for how many steps in a row the
    run has looked ill, by name; both are the health watch's. `start_again` goes back to `beginning`, resumed or not.

    `parts` are saved and loaded with the rest. A part that is added after a checkpoint was loaded gets its values then:
    they wait in `waiting`.
    """

    field: HashGridField
    occupancy: OccupancyGrid
    optimizer: FusedAdam
    generators: dict[str, torch.Generator]
    adapter: dict[str, torch.Tensor] = new(default_factory=dict)
    step: int = 0
    factors: dict[str, float] = new(default_factory=dict)
    symptoms: dict[str, int] = new(default_factory=dict)
    events: list[str] = new(default_factory=list)
    beginning: dict[str, Any] = new(default_factory=dict)
    parts: dict[str, Part] = new(default_factory=dict)
    waiting: dict[str, dict[str, Any]] = new(default_factory=dict)

    @staticmethod
    def fresh(
        field: HashGridField, occupancy: OccupancyGrid, lr_encoding: float, lr_network: float, seed: int
    ) -> LoopState:
        """The state before the first step, with one generator for each of STREAMS, seeded from `seed`.

        lr_encoding and lr_network are the learning rates of the hash grid and of the networks.
        """
        generators = {name: torch.Generator().manual_seed(seed * 1000 + i) for i, name in enumerate(STREAMS)}
        state = LoopState(field, occupancy, FusedAdam(field.param_groups(lr_encoding, lr_network)), generators)
        state.remember_beginning()
        return state

    def remember_beginning(self) -> None:
        """The present field and optimizer are where `start_again` begins."""
        values = {"field": self.field.state_dict(), "optimizer": self.optimizer.state_dict()}
        self.beginning = copy.deepcopy(values)

    def start_again(self) -> None:
        """Field and optimizer as in the beginning, every cell to be looked at; steps and draws go on."""
        values = copy.deepcopy(self.beginning)
        self.field.load_state_dict(values["field"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.occupancy.fill()

    def add_part(self, name: str, part: SomePart) -> SomePart:
        """Adds a part under `name`, with the values that a loaded checkpoint holds for it; returns the part."""
        self.parts[name] = part
        if name in self.waiting:
            part.load_state_dict(self.waiting.pop(name))
        return part

    def values(self) -> dict[str, Any]:
        """Tensors, numbers and strings only: read back without running any code from the file."""
        return {
            "field": self.field.state_dict(),
            "occupancy": self.occupancy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "adapter": self.adapter,
            "step": self.step,
            "factors": self.factors,
            "symptoms": self.symptoms,
            "events": self.events,
            "parts": self.waiting | {name: part.state_dict() for name, part in self.parts.items()},
        }

    def restore(self, values: dict[str, Any]) -> None:
        """From values on any device; each part takes its own to where it lives. The optimizer's step counts stay where
        they are, and should be on the CPU: reading them from a GPU in every step would wait for it."""
        self.field.load_state_dict(values["field"])
        self.occupancy.load_state_dict(values["occupancy"])
        self.optimizer.load_state_dict(values["optimizer"])
        for name, generator in self.generators.items():
            if name in values["generators"]:
                generator.set_state(values["generators"][name].cpu())
        self.adapter = dict(values["adapter"])
        self.step, self.factors, self.events = values["step"], dict(values["factors"]), list(values["events"])
        self.symptoms = dict(values.get("symptoms", {}))
        self.waiting = dict(values.get("parts", {}))
        for name, part in self.parts.items():
            if name in self.waiting:
                part.load_state_dict(self.waiting.pop(name))

    def snapshot(self) -> bytes:
        """A copy in memory."""
        buffer = io.BytesIO()
        torch.save(self.values(), buffer)
        return buffer.getvalue()

    def roll_back(self, snapshot: bytes) -> None:
        """Back to what `snapshot` gave."""
        self.restore(torch.load(io.BytesIO(snapshot), map_location="cpu", weights_only=True))

    @property
    def field_device(self) -> torch.device:
        """The device of the field and of its occupancy grid."""
        return self.occupancy.ema.device

    def save(self, path: Path) -> None:
        """Written aside and renamed: a run killed at any moment leaves the old checkpoint or the new one.

        A field that is not finite, which the health watch is about to take back, leaves the old one too.
        """
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.field.parameters()):
            return
        with atomic_write(path) as part, part.open("wb") as file:
            _write(self.values(), file)

    def load(self, path: Path) -> None:
        """ValueError where the file is torn, foreign or of another shape; the state is then partly overwritten."""
        with readable(path):
            self.restore(torch.load(path, map_location="cpu", weights_only=True))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong with a torn, foreign or unfitting checkpoint inside becomes a ValueError of one line."""
    try:
        yield
    except (RuntimeError, KeyError, TypeError, ValueError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        first = (str(error).splitlines() or ["unreadable"])[0]
        raise ValueError(
            f"checkpoint: expected one of this run, got {path} ({first}); delete it to start this run anew, "
            "or choose another output_dir"
        ) from error


def _write(values: dict, file: BinaryIO) -> None:
    """torch.save, which hides an OSError of the file behind a RuntimeError of its own; here the OSError comes out."""
    try:
        torch.save(values, file)
    except RuntimeError as error:
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None
