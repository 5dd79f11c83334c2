"""Files of small networks: float16 safetensors with the network's sizes and its training in the header."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from nerf2mesh.utils.atomic_write import atomic_write

Network = TypeVar("Network", bound=nn.Module)
Sized = TypeVar("Sized", bound=nn.Module)
Refusal = Callable[[str], ValueError]
"""From "expected X, got Y" to the error in one line."""


def write_network(network: nn.Module, sizes: dict[str, Any], training: dict[str, object], path: Path) -> None:
    """Writes `network` as float16, aside and renamed; `training` says how it came about."""
    from safetensors.torch import save_file

    halves = {
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for key, value in network.state_dict().items()
    }
    header = {"network": json.dumps(sizes), "training": json.dumps(training)}
    with atomic_write(path) as part:
        save_file(halves, part, metadata=header)
        part.chmod(0o644)


def read_network(path: Path, build: Callable[[dict[str, Any]], Network], refused: Refusal) -> Network:
    """The network stored at `path`, for inference; `build` makes one of the header's sizes.

    What `refused` makes is raised where the file is missing, torn, foreign, of other shapes or not finite. The shapes
    are compared before a network of the header's sizes takes memory.
    """
    try:
        with safe_open(path, framework="pt") as file:
            sizes, wanted = _sizes((file.metadata() or {}).get("network", ""), build, refused)
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            if shapes != wanted:
                other = next(key for key in sorted(wanted.keys() | shapes.keys()) if wanted.get(key) != shapes.get(key))
                raise refused(f"expected {other:.80} of shape {wanted.get(other)}, got {shapes.get(other)}")
            network = build(sizes)
            network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise refused(f"expected a readable safetensors file, got {first}") from error
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise refused("expected finite numbers, got others")
    return network.eval().requires_grad_(False)


class NetworkFile(Generic[Sized]):
    """The files of one kind of network, which is made of its settings alone.

    name: of the setting that names such a file, for errors. command: the training that writes them. packaged: the file
    that comes with the package.
    """

    def __init__(self, network: type[Sized], config: type, name: str, command: str, packaged: Path) -> None:
        self._network, self._config, self.name, self.command, self.packaged = network, config, name, command, packaged
        self._read = lru_cache(maxsize=2)(self._read_anew)

    def write(self, network: Sized, training: dict[str, object], path: Path) -> None:
        """Writes `network` as float16, aside and renamed; `training` says how it came about."""
        write_network(network, vars(network.config), training, path)

    def read(self, path: Path | None = None) -> Sized:
        """The network stored at `path` or packaged, for inference; the last two are kept. ValueError in one line where
        it is missing, foreign or torn."""
        return self._read(path or self.packaged)

    def _read_anew(self, path: Path) -> Sized:
        return read_network(path, self._build, lambda why: self._refused(path, why))

    def _build(self, sizes: dict[str, Any]) -> Sized:
        given = {one.name: sizes[one.name] for one in fields(self._config)}
        return self._network(self._config(**given))

    def _refused(self, path: Path, why: str) -> ValueError:
        advice = "install the package anew" if path == self.packaged else f"give a file of {self.command}"
        return ValueError(f"{self.name}: {path}: {why}; {advice}")


def read_training(path: Path) -> dict[str, Any]:
    """What the header of a file that `read_network` takes says of its training."""
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {}).get("training", "{}"))


def _sizes(
    text: str, build: Callable[[dict[str, Any]], nn.Module], refused: Refusal
) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """The header's sizes, which `build` takes, and the shapes of such a network's tensors."""
    try:
        sizes = json.loads(text)
        with torch.device("meta"):
            return sizes, {key: tuple(value.shape) for key, value in build(sizes).state_dict().items()}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise refused(f"expected a network's sizes in the header, got {text[:60]!r}") from None
