"""LoRA files of peft, diffusers and kohya's tools (sd-scripts, LyCORIS' plain LoRA): read without pickle.

    peft       base_model.model.<module>.lora_A.weight     alpha in adapter_config.json beside the file
    diffusers  unet.<module>.lora_A.weight                 alpha in the header, else equal to the rank
               (older: unet.<module>.lora.down.weight, <attention>.processor.to_q_lora.down.weight)
    kohya      lora_unet_<mo_du_le>.lora_down.weight       alpha as a tensor of each module; text encoders: lora_te1_...

`read` gives the layers under the names in the file, for each part of the model; `naming` knows which modules they mean.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from nerf2mesh.lora.lowrank import PREFIX, LowRank, assembled

DENOISER = "denoiser"
MANIFEST_KEY = "nerf2mesh"
_METADATA_KEY = "lora_adapter_metadata"
_FOLDER_NAMES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")
_COMPONENTS = (
    ("unet.", DENOISER),
    ("transformer.", DENOISER),
    ("model.diffusion_model.", DENOISER),
    ("diffusion_model.", DENOISER),
    ("lora_unet_", DENOISER),
    ("lora_transformer_", DENOISER),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder_3.", "text_encoder_3"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te3_", "text_encoder_3"),
)
_SUFFIXES = (
    (re.compile(r"\.lora_A(\.\w+)?\.weight$"), "down"),
    (re.compile(r"\.lora_B(\.\w+)?\.weight$"), "up"),
    (re.compile(r"(\.lora_down|[._]lora\.down|\.lora_linear_layer\.down)\.weight$"), "down"),
    (re.compile(r"(\.lora_up|[._]lora\.up|\.lora_linear_layer\.up)\.weight$"), "up"),
    (re.compile(r"\.lora_mid\.weight$"), "mid"),
    (re.compile(r"\.alpha$"), "alpha"),
)
_OTHER_KINDS = (
    (re.compile(r"dora_scale|lora_magnitude_vector"), "DoRA"),
    (re.compile(r"\.hada_"), "LoHa"),
    (re.compile(r"\.lokr_"), "LoKr"),
    (re.compile(r"lora_B(\.\w+)?\.bias$"), "LoRA with biases"),
    (re.compile(r"\.oft_|boft_"), "OFT"),
)


@dataclass(frozen=True)
class LoraFile:
    """A file's layers by part of the model and by the names in the file, and its header."""

    path: Path
    parts: dict[str, dict[str, LowRank]]
    header: dict[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> dict:
        """What our own files say about themselves; {} for others."""
        return json.loads(self.header.get(MANIFEST_KEY, "{}"))


def read(path: str | Path) -> LoraFile:
    """A safetensors file, or the folder that peft or diffusers writes.

    Raises:
        ValueError: no such file, not safetensors (pickles are never opened), not plain LoRA, or without its alpha.
    """
    path = located(Path(path))
    tensors, header = _tensors(path)
    if not tensors:
        raise ValueError(f"lora.adapters: expected tensors in {path}, got none; get the file again")
    raw: dict[str, dict[str, dict[str, Tensor]]] = {}
    for key, value in tensors.items():
        part, module, piece = _parsed(path, key)
        raw.setdefault(part, {}).setdefault(module, {})[piece] = value
    alphas = _Alphas.of(path, header)
    from_peft = any(key.startswith(PREFIX) and not key.endswith(".alpha") for key in tensors)
    if from_peft and not alphas.configs and "r" not in header:
        raise ValueError(
            f"lora.adapters: expected adapter_config.json, which has the alpha, beside peft's {path}, got none; "
            "put both files into one folder"
        )
    parts = {}
    for part, modules in raw.items():
        layers = {module: assembled(module, pieces) for module, pieces in modules.items()}
        parts[part] = {
            module: layer if "alpha" in modules[module] else LowRank(layer.down, layer.up, alphas(part, module, layer))
            for module, layer in layers.items()
        }
    return LoraFile(path, parts, header)


def located(path: Path) -> Path:
    """The safetensors file meant by a path. ValueError where there is none."""
    if path.is_dir():
        for name in _FOLDER_NAMES:
            if (path / name).is_file():
                return path / name
        raise ValueError(
            f"lora.adapters: expected one of {', '.join(_FOLDER_NAMES)} in {path}, got none; give the file itself"
        )
    if not path.is_file():
        raise ValueError(f"lora.adapters: expected a file, got {path}; give the path of a safetensors adapter")
    if path.suffix in (".bin", ".pt", ".pth", ".ckpt"):
        raise ValueError(f"lora.adapters: expected safetensors, got {path}, a pickle, which can run code; convert it")
    return path


def _tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key).float() for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"lora.adapters: expected readable safetensors, got {path} ({error}); get the file again"
        ) from error


def _parsed(path: Path, key: str) -> tuple[str, str, str]:
    """Part of the model, name of the module, and which tensor of it."""
    for pattern, kind in _OTHER_KINDS:
        if pattern.search(key):
            raise ValueError(f"lora.adapters: expected plain LoRA, got {kind} ({key}) in {path}; convert or retrain it")
    for pattern, piece in _SUFFIXES:
        if match := pattern.search(key):
            module, part = key[: match.start()].removeprefix(PREFIX), DENOISER
            for prefix, name in _COMPONENTS:
                if module.startswith(prefix):
                    module, part = module.removeprefix(prefix), name
                    break
            return part, module, piece
    raise ValueError(f"lora.adapters: expected the tensors of a LoRA, got {key} in {path}; give a LoRA file")


@dataclass(frozen=True)
class _Alphas:
    """The numerator of the scale where it is no tensor: from peft's configuration, wherever that is."""

    configs: dict[str, dict]
    """By the part's prefix in diffusers' files ("unet", "transformer", ...); "" for all."""

    @staticmethod
    def of(path: Path, header: dict[str, str]) -> _Alphas:
        beside = path.parent / "adapter_config.json"
        if _METADATA_KEY in header:
            entries = json.loads(header[_METADATA_KEY])
        elif path.name == _FOLDER_NAMES[0] and beside.is_file():
            entries = json.loads(beside.read_text(encoding="utf-8"))
        elif "lora_alpha" in header:
            entries = {"lora_alpha": float(header["lora_alpha"])}
        else:
            entries = {}
        configs: dict[str, dict] = {}
        for key, value in entries.items():
            prefix, _, name = key.rpartition(".")
            configs.setdefault(prefix, {})[name] = value
        return _Alphas(configs)

    def __call__(self, part: str, module: str, layer: LowRank) -> float:
        prefixes = ("unet", "transformer", "") if part == DENOISER else (part, "")
        config = next((self.configs[prefix] for prefix in prefixes if prefix in self.configs), {})
        alpha = config.get("lora_alpha", layer.rank)
        for pattern, value in (config.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = value
                break
        return float(alpha) * (math.sqrt(layer.rank) if config.get("use_rslora") else 1.0)
