"""Files of the segmentation network: float16 safetensors with the network's sizes and its training in the header."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from nerf2mesh.inputs.segmentation.network import SegmentationConfig, SegmentationNetwork
from nerf2mesh.utils.atomic_write import atomic_write

PACKAGED = Path(__file__).with_name("foreground.safetensors")


def write_network(network: SegmentationNetwork, training: dict[str, object], path: Path) -> None:
    """Writes `network` as float16, aside and renamed; `training` says how it came about."""
    from safetensors.torch import save_file

    halves = {
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for key, value in network.state_dict().items()
    }
    header = {"network": json.dumps(vars(network.config)), "training": json.dumps(training)}
    with atomic_write(path) as part:
        save_file(halves, part, metadata=header)
        part.chmod(0o644)


@lru_cache(maxsize=2)
def read_network(path: Path) -> SegmentationNetwork:
    """The network stored at `path`, for inference. ValueError in one line where it is missing, foreign or torn."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            network = _built(path, header, {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()})  # noqa: SIM118
            network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise _refused(path, f"a readable safetensors file, got {first}") from error
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise _refused(path, "finite numbers, got others")
    return network.eval().requires_grad_(False)


def read_training(path: Path) -> dict[str, Any]:
    """What the header of a file that `read_network` takes says of its training."""
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {}).get("training", "{}"))


def _built(path: Path, header: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> SegmentationNetwork:
    """An untrained network of the header's sizes, after the file's tensors were compared with it, without memory."""
    config = _config(path, header.get("network", ""))
    with torch.device("meta"):
        wanted = {key: tuple(value.shape) for key, value in SegmentationNetwork(config).state_dict().items()}
    if shapes != wanted:
        other = next(key for key in sorted(wanted.keys() | shapes.keys()) if wanted.get(key) != shapes.get(key))
        raise _refused(path, f"{other:.80} of shape {wanted.get(other)}, got {shapes.get(other)}")
    return SegmentationNetwork(config)


def _config(path: Path, text: str) -> SegmentationConfig:
    try:
        given = json.loads(text)
        return SegmentationConfig(size_px=given["size_px"], channels=list(given["channels"]), n_deep=given["n_deep"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _refused(path, f"a network's sizes in the header, got {text[:60]!r}") from None


def _refused(path: Path, expected: str) -> ValueError:
    return ValueError(
        f"input.foreground_weights: {path}: expected {expected}; give a file of nerf2mesh-train-foreground, or none"
    )
