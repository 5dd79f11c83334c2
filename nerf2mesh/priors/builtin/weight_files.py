"""Files of the built-in prior's weights: float16 safetensors that carry the network's configuration in their header.

A network is one file, or a folder that diffusers wrote (`diffusers_model`). Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from nerf2mesh.priors.builtin.network import DenoiserConfig, MultiViewDenoiser, grown
from nerf2mesh.priors.builtin.weight_header import check_tensors, checked_config, read_json
from nerf2mesh.procedural.captions import WORDS
from nerf2mesh.utils.atomic_write import atomic_write
from nerf2mesh.utils.names import printable


def export_network(network: MultiViewDenoiser, training: dict[str, object], path: Path) -> None:
    """Writes `network` as float16 to `path`, aside and renamed; `training` says how it came about."""
    _write(path, _halves(network), _header(network, training))


def read_network(path: Path) -> MultiViewDenoiser:
    """The network stored at `path`: a file, or a folder of diffusers. ValueError where it is missing, foreign or
    torn."""
    if (path / "config.json").is_file():
        return _read_diffusers(path)
    about, shapes = _header_of(_there(path))
    if "network" not in about:
        raise ValueError(
            f"prior.weights: expected a file of nerf2mesh-train-prior, got {path}, which does not say which "
            "network it is for; use another"
        )
    _check_vocabulary(path, about.get("words"))
    config = checked_config(path, {"patch": 1} | read_json(path, about["network"]))
    check_tensors(path, config, shapes)
    weights = _read(path)
    for key, value in weights.items():
        if not value.isfinite().all():
            raise ValueError(f"prior.weights: expected finite numbers in {key} of {path}, got others; get it anew")
    network = config.build()
    network.load_state_dict(weights)
    return network


def _read_diffusers(path: Path) -> MultiViewDenoiser:
    from nerf2mesh.priors.builtin.diffusers_model import MultiViewDenoiserModel

    about = read_json(path, (path / "config.json").read_text(encoding="utf-8", errors="replace"))
    kind = about.get("_class_name")
    if kind != MultiViewDenoiserModel.__name__:
        raise ValueError(
            f"prior.weights: expected a {MultiViewDenoiserModel.__name__}, got a {kind} in {path}; see prior.name"
        )
    sizes = {key: value for key, value in about.items() if not key.startswith("_") and key != "vocabulary"}
    shapes = {}
    for file in sorted(path.glob("*.safetensors")):
        shapes |= _header_of(file)[1]
    own = {key.removeprefix("denoiser."): value for key, value in shapes.items()}
    _check_vocabulary(path, about.get("vocabulary"))
    check_tensors(path, checked_config(path, sizes), own)
    try:
        model = MultiViewDenoiserModel.from_pretrained(path, use_safetensors=True, low_cpu_mem_usage=False)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"prior.weights: {path} cannot be read by diffusers: {first}; save it anew") from error
    return model.denoiser.float()


def _check_vocabulary(path: Path, words: object) -> None:
    if words not in (None, " ".join(WORDS)):
        raise ValueError(
            f"prior.weights: expected this version's vocabulary, got another vocabulary in {path}; use other weights"
        )


def starting_weights(path: Path, config: DenoiserConfig) -> dict[str, Tensor]:
    """The weights at `path` for a network of `config`. ValueError where they are of another size.

    Patch 1 grows, and those of a network without words lack that part of it, which starts at nothing.
    """
    network = read_network(path)
    had = network.config.as_dict() | {"image_size": config.image_size, "patch": config.patch}
    had["n_words"] = had["n_words"] or config.n_words
    if had != config.as_dict() or network.config.patch not in (1, config.patch):
        raise ValueError(
            f"weights: expected a network of {config}, got {network.config} in {path}; change network.* or it"
        )
    weights = network.state_dict()
    return weights if network.config.patch == config.patch else grown(weights, config.patch)


def read_training(path: Path) -> dict[str, Any]:
    """What the header of weights at `path` says of their training; empty for those that say nothing."""
    if (path / "config.json").is_file():
        return {}
    about, _ = _header_of(_there(path))
    return read_json(path, about.get("training", "{}"))


def mesh_sources(path: Path) -> list[list[dict[str, object]]]:
    """Whose meshes weights were trained on, by training (`objects.folder.licence_summary`), the last one first."""
    found = read_training(path).get("meshes", [])
    return list(found) if isinstance(found, list) else []


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(
            f"prior.weights: expected a file, got none at {path}; train one with nerf2mesh-train-prior or leave it out"
        )
    return path


def _header_of(path: Path) -> tuple[dict[str, str], dict[str, tuple[tuple[int, ...], str]]]:
    """The header's texts, and shape and type of each tensor; no tensor is read."""
    with _opened(path) as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        shapes = {key: (tuple(value.get_shape()), str(value.get_dtype())) for key, value in slices.items()}
        return file.metadata() or {}, shapes


def _read(path: Path) -> dict[str, Tensor]:
    with _opened(path) as file:
        return {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file; every error of reading it in one line."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        first = printable((str(error).splitlines() or [type(error).__name__])[0][:160])
        raise ValueError(
            f"prior.weights: expected a readable safetensors file, got {path} ({first}); get it anew"
        ) from error


def _write(path: Path, weights: dict[str, Tensor], header: dict[str, str]) -> None:
    from safetensors.torch import save_file

    with atomic_write(path) as part:
        save_file(weights, part, metadata=header)
        part.chmod(0o644)


def _halves(network: MultiViewDenoiser) -> dict[str, Tensor]:
    return {key: value.half().contiguous().cpu() for key, value in network.state_dict().items()}


def _header(network: MultiViewDenoiser, training: dict[str, object]) -> dict[str, str]:
    about = {"network": json.dumps(network.config.as_dict()), "training": json.dumps(training)}
    return about | ({"words": " ".join(WORDS)} if network.config.n_words else {})
