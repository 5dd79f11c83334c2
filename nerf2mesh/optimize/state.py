"""The loop's state: all that changes from step to step, in one object that is saved and loaded whole.

A run that is loaded from its checkpoint goes on bit for bit as if it had not stopped (on a CPU).
"""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from dataclasses import field as new
from math import isfinite
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from nerf2mesh.fields import HashGridField
from nerf2mesh.kernels import FusedAdam
from nerf2mesh.render import OccupancyGrid
from nerf2mesh.utils.checkpoint import readable, restore_newest, write_checkpoint
from nerf2mesh.utils.tensor_file import check_optimizer

LAST = "checkpoints/last.safetensors"
EARLIER = "checkpoints/last.pt"
"""Where earlier versions wrote it, as a pickle."""
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
    loaded_from: Path = Path(LAST)
    """The checkpoint from which the values came, for messages."""

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
            with readable(self.loaded_from):
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
        """Writes the checkpoint; see `checkpoint`. A field that is not finite, which the health watch is about to take
        back, leaves the old one.
        """
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.field.parameters()):
            return
        write_checkpoint(path, self.values())

    def load(self, path: Path) -> list[str]:
        """From the checkpoint at `path`, or from the one before it where this one is damaged; returns what to say.

        Raises:
            ValueError: neither can be used; the state is then partly overwritten.
        """

        def checked(values: dict[str, Any]) -> None:
            self._check(values)
            self.restore(values)

        said = restore_newest(path, checked)
        self.loaded_from = path
        return said

    def _check(self, values: dict[str, Any]) -> None:
        """ValueError or KeyError where the values are of other types or shapes than the state's own."""
        check_object(values, self.field, self.occupancy)
        check_optimizer(self.optimizer, values["optimizer"])
        step = values["step"]
        fits = isinstance(step, int) and 0 <= step < 1 << 53 and _holds(values["adapter"], dict, torch.Tensor)
        fits = fits and _holds(values["factors"], dict, float | int) and all(map(isfinite, values["factors"].values()))
        fits = fits and _holds(values["events"], list, str)
        fits = fits and _holds(values.get("symptoms", {}), dict, int) and _holds(values.get("parts", {}), dict, dict)
        if not fits or not _holds(values["generators"], dict, torch.Tensor):
            raise ValueError("values of other types")


def check_object(values: dict[str, Any], field: HashGridField, occupancy: OccupancyGrid) -> None:
    """ValueError or KeyError where "field" and "occupancy" of `values` are of other types or shapes, or not finite."""
    for name, module in (("field", field), ("occupancy", occupancy)):
        own, given = module.state_dict(), values[name]
        if own.keys() != given.keys() or any(not _alike(own[key], given[key]) for key in own):
            raise ValueError(f"a {name} of other shapes or types")
    if not all(bool(value.isfinite().all()) for value in values["field"].values()):
        raise ValueError("values that are not finite")
    if not 1 <= int(values["field"]["_active_levels"]) <= field.config.n_levels:
        raise ValueError("a field of other levels")


def _alike(own: torch.Tensor, given: Any) -> bool:
    return isinstance(given, torch.Tensor) and own.shape == given.shape and own.dtype == given.dtype


def _holds(values: Any, kind: type, of: Any) -> bool:
    """Whether it is a dict by text, or a list, of values of one type."""
    if kind is dict:
        return isinstance(values, dict) and all(isinstance(k, str) and isinstance(v, of) for k, v in values.items())
    return isinstance(values, kind) and all(isinstance(value, of) for value in values)
