"""LoRA files of peft, diffusers and kohya's tools (sd-scripts, LyCORIS' plain LoRA): read without pickle.

    peft       base_model.model.<module>.lora_A.weight     alpha in adapter_config.json beside the file
    diffusers  unet.<module>.lora_A.weight                 alpha in the header, else equal to the rank
               (older: unet.<module>.lora.down.weight, <attention>.processor.to_q_lora.down.weight)
    kohya      lora_unet_<mo_du_le>.lora_down.weight       alpha as a tensor of each module; text encoders: lora_te1_...

`read` gives the layers under the names in the file, for each part of the model; `naming` knows which modules they mean,
`keys` what a tensor's name says. Layers that are no plain LoRA, or that alpha 0 turns off, are left out and named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from nerf2mesh.lora.io.alphas import CONFIG_NAME, PEFT_NAME, Alphas
from nerf2mesh.lora.io.keys import DENOISER, Key, parsed
from nerf2mesh.lora.lowrank import PREFIX, LowRank, assembled
from nerf2mesh.utils.names import printable

__all__ = ["DENOISER", "MANIFEST_KEY", "LoraFile", "located", "read"]

MANIFEST_KEY = "nerf2mesh"
MAX_LAYERS = 20_000
"""FLUX.1, the largest that is read, has under 1,000."""
_FOLDER_NAMES = (PEFT_NAME, "pytorch_lora_weights.safetensors")


@dataclass(frozen=True)
class LoraFile:
    """A file's layers by part of the model and by the names in the file, and its header."""

    path: Path
    parts: dict[str, dict[str, LowRank]]
    header: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """By kind: layers (of any part) and tensors that are not read."""
    n_denoiser: int = 0
    """Layers of the denoiser in the file, those that are left out included."""

    @property
    def manifest(self) -> dict:
        """What our own files say about themselves; {} for others."""
        try:
            found = json.loads(self.header.get(MANIFEST_KEY, "{}"))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def read(path: str | Path) -> LoraFile:
    """A safetensors file, or the folder that peft or diffusers writes.

    Raises:
        ValueError: no such file, not safetensors (pickles are never opened), no layer of plain LoRA in it, torn, not
            finite, or without its alpha.
    """
    path = located(Path(path))
    tensors, header = _tensors(path)
    if not tensors:
        raise ValueError(f"lora.adapters: expected tensors in {path}, got none; get the file again")
    keys = {name: parsed(name) for name in tensors}
    raw = _by_layer(path, keys, tensors)
    left_out = _foreign(keys)
    if not raw:
        raise ValueError(_no_lora(path, keys))
    from_peft = any(PREFIX in name and key.piece in ("down", "up") for name, key in keys.items())
    alphas = Alphas.of(path, header, from_peft)
    if from_peft and not alphas.configs and "r" not in header and not _all_have_alpha(raw):
        raise ValueError(
            f"lora.adapters: expected {CONFIG_NAME}, which has the alpha, beside peft's {path}, got none; "
            "put both files into one folder"
        )
    parts, off = _with_alphas(path, raw, alphas)
    if off:
        left_out["layers that alpha 0 turns off"] = [module for _, module in off]
    counted = {(key.part, key.layer) for key in keys.values() if key.layer and key.piece != "alpha"} - set(off)
    return LoraFile(path, parts, header, left_out, sum(part == DENOISER for part, _ in counted))


def _with_alphas(
    path: Path, raw: dict[tuple[str, str], dict[str, Tensor]], alphas: Alphas
) -> tuple[dict[str, dict[str, LowRank]], list[tuple[str, str]]]:
    """The layers by part and name, and those whose alpha is 0: their change is none (alpha / r up down)."""
    parts: dict[str, dict[str, LowRank]] = {}
    off = []
    for (part, module), pieces in raw.items():
        layer = assembled(module, pieces, f"lora.adapters: {path}")
        if "alpha" not in pieces:
            layer = LowRank(layer.down, layer.up, alphas(part, module, layer))
        if layer.alpha == 0.0:
            off.append((part, module))
        else:
            parts.setdefault(part, {})[module] = layer
    return parts, off


def located(path: Path) -> Path:
    """The safetensors file meant by a path. ValueError where there is none."""
    path = path.expanduser()
    if path.is_dir():
        for name in _FOLDER_NAMES:
            if (path / name).is_file():
                return path / name
        files = sorted(file for file in path.glob("*.safetensors") if file.is_file())
        if len(files) == 1 and (path / CONFIG_NAME).is_file():
            return files[0]
        raise ValueError(
            f"lora.adapters: expected one of {', '.join(_FOLDER_NAMES)} in {path}, got none; give the file itself"
        )
    if not path.is_file():
        raise ValueError(f"lora.adapters: expected a file, got {path}; give the path of a safetensors adapter")
    if path.suffix in (".bin", ".pt", ".pth", ".ckpt"):
        raise ValueError(f"lora.adapters: expected safetensors, got {path}, a pickle, which can run code; convert it")
    return path


def _tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors as float32. ValueError for a damaged file, and for weights that are no finite numbers."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
    except (SafetensorError, OSError, ValueError, AttributeError, UnicodeDecodeError) as error:
        first = printable((str(error).splitlines() or [type(error).__name__])[0][:160])
        raise ValueError(
            f"lora.adapters: expected readable safetensors, got {path} ({first}); get the file again"
        ) from error
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}, header


def _by_layer(path: Path, keys: dict[str, Key], tensors: dict[str, Tensor]) -> dict[tuple[str, str], dict[str, Tensor]]:
    """The tensors of plain LoRA by part and layer; layers of another kind (DoRA, ...) are not among them."""
    other = {(key.part, key.layer) for key in keys.values() if key.foreign and key.layer}
    raw: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, key in keys.items():
        layer = (key.part, key.layer)
        if not key.piece or layer in other:
            continue
        if key.piece in raw.setdefault(layer, {}):
            raise ValueError(
                f"lora.adapters: expected one adapter in {path}, got {printable(name)} twice; split the file"
            )
        raw[layer][key.piece] = _checked(path, name, key, tensors[name])
    if len(raw) > MAX_LAYERS:
        raise ValueError(f"lora.adapters: expected at most {MAX_LAYERS} layers in {path}, got {len(raw)}; give a LoRA")
    return {layer: pieces for layer, pieces in raw.items() if set(pieces) != {"alpha"}}


def _checked(path: Path, name: str, key: Key, value: Tensor) -> Tensor:
    """The tensor where it can be what its name says."""
    if key.piece == "alpha":
        fits, wanted = value.numel() == 1, "one number"
    else:
        fits, wanted = value.is_floating_point() and 2 <= value.ndim <= 5 and value.numel() > 0, "floats of 2 to 5 axes"
    if not fits:
        got = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
        raise ValueError(
            f"lora.adapters: expected {wanted} in {printable(name)} of {path}, got {got}; get the file again"
        )
    if not value.isfinite().all():
        raise ValueError(
            f"lora.adapters: expected finite numbers in {printable(name)} of {path}, got NaN or infinity; "
            "get the file again, or one of an earlier step of its training"
        )
    return value


def _foreign(keys: dict[str, Key]) -> dict[str, list[str]]:
    """What is no plain LoRA, by kind: names of layers, or of tensors that belong to none."""
    found: dict[str, dict[str, None]] = {}
    for name, key in keys.items():
        if key.foreign:
            found.setdefault(key.foreign, {})[key.layer or name] = None
    return {kind: list(names) for kind, names in found.items()}


def _no_lora(path: Path, keys: dict[str, Key]) -> str:
    """Says what a file is that has no layer of plain LoRA."""
    for name, key in keys.items():
        if key.foreign and key.layer:
            return f"lora.adapters: expected plain LoRA, got {key.foreign} ({name}) in {path}; convert or retrain it"
    name = next(name for name, key in keys.items() if key.foreign or key.piece == "alpha")
    return f"lora.adapters: expected the tensors of a LoRA, got {name:.80} in {path}; give a LoRA file"


def _all_have_alpha(raw: dict[tuple[str, str], dict[str, Tensor]]) -> bool:
    return all("alpha" in pieces for pieces in raw.values())
