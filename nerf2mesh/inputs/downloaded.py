"""Masks by models that the user has: rembg's U2-Net and BiRefNet. Nothing is ever downloaded here."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from nerf2mesh.inputs.config import InputConfig

DOWNLOADED = ("rembg", "birefnet")
BIREFNET_PX = 1024
_INSTEAD = "or use input.foreground=auto, which needs no download"


def check_downloaded(config: InputConfig) -> None:
    """ValueError in one line where `input.foreground` names a model that is not on this machine."""
    if config.foreground == "rembg":
        _check_package("rembg")
        file = rembg_file()
        if not file.is_file():
            raise ValueError(
                f"input.foreground: expected the weights of rembg at {file}, got none; run `rembg d u2net` once while "
                f"online, {_INSTEAD}"
            )
    elif config.foreground == "birefnet":
        _check_package("transformers")
        if birefnet_folder(config.foreground_model) is None:
            raise ValueError(
                f"input.foreground: expected BiRefNet in a folder or in the cache of the Hugging Face hub, got no "
                f"{config.foreground_model}; run `hf download {config.foreground_model}` once while online, {_INSTEAD}"
            )


def rembg_file() -> Path:
    """Where rembg keeps its default weights."""
    home = os.environ.get("U2NET_HOME") or Path(os.environ.get("XDG_DATA_HOME", "~")) / ".u2net"
    return Path(home).expanduser() / "u2net.onnx"


def birefnet_folder(name: str) -> Path | None:
    """A folder with a config.json: `name` itself, or the hub's cached copy of it; None where there is neither."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if (Path(name).expanduser() / "config.json").is_file():
        return Path(name).expanduser()
    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def rembg_matte(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 4"]:
    """Straight RGBA by rembg's default model."""
    from rembg import remove

    return np.asarray(remove(np.ascontiguousarray(rgb)), np.float32)[..., :4] / 255.0


def birefnet_probability(rgb: UInt8[np.ndarray, "h w 3"], name: str) -> Float[np.ndarray, "h w"]:
    """BiRefNet's map (Zheng et al. 2024) at the picture's size. The model's own Python files, which came with it, are
    run."""
    import cv2
    import torch
    from transformers import AutoModelForImageSegmentation

    folder = birefnet_folder(name)
    assert folder is not None, "check_downloaded comes first"
    model = AutoModelForImageSegmentation.from_pretrained(folder, trust_remote_code=True, local_files_only=True)
    small = cv2.resize(np.ascontiguousarray(rgb), (BIREFNET_PX, BIREFNET_PX), interpolation=cv2.INTER_AREA)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    batch = torch.from_numpy(((small / 255.0 - mean) / deviation).astype(np.float32)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = model.float().eval()(batch)[-1]
    probability = torch.sigmoid(logits)[0, 0].float().numpy()
    return cv2.resize(probability, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)


def _check_package(name: str) -> None:
    if find_spec(name) is None:
        raise ValueError(
            f"input.foreground: expected the package {name}, got none installed; pip install {name}, {_INSTEAD}"
        )
