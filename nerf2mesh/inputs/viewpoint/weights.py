"""Files of the viewpoint network: float16 safetensors with the network's sizes and its training in the header."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from nerf2mesh.inputs.viewpoint.network import ViewpointConfig, ViewpointNetwork
from nerf2mesh.utils.atomic_write import atomic_write

PACKAGED = Path(__file__).with_name("viewpoint.safetensors")


def write_network(network: ViewpointNetwork, training: dict[str, object], path: Path) -> None:
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
def read_network(path: Path = PACKAGED) -> ViewpointNetwork:
    """The network stored at `path`, for inference. ValueError in one line where it is missing, foreign or torn."""
    try:
        with safe_open(path, framework="pt") as file:
            given = json.loads((file.metadata() or {}).get("network", ""))
            network = ViewpointNetwork(ViewpointConfig(size_px=given["size_px"], channels=list(given["channels"])))
            network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise ValueError(
            f"viewpoint: {path}: expected a file of nerf2mesh-train-viewpoint, got {first}; install the package anew"
        ) from error
    return network.eval().requires_grad_(False)


def read_training(path: Path = PACKAGED) -> dict[str, Any]:
    """What the header of a file that `read_network` takes says of its training."""
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {}).get("training", "{}"))
