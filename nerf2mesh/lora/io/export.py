"""Adapters to files that others read, with the rank and alpha that each layer has.

    peft       a folder: adapter_model.safetensors and adapter_config.json
    diffusers  one file: pipe.load_lora_weights reads it; alpha stands in the header
    kohya      one file: sd-scripts, ComfyUI, A1111 read it; alpha is a tensor of each layer, and the layers have the
               original authors' names, joined where theirs are joined

Every file carries a manifest in its header and, to be read by eye, beside it. Files are written aside and renamed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from nerf2mesh.lora import adapters
from nerf2mesh.lora.io import naming
from nerf2mesh.lora.io.files import MANIFEST_KEY
from nerf2mesh.lora.io.manifest import Manifest
from nerf2mesh.lora.lowrank import PREFIX, LowRank, from_state
from nerf2mesh.utils.atomic_write import atomic_write, atomic_write_text

Format = Literal["peft", "diffusers", "kohya"]


def export_adapter(
    path: str | Path, network: nn.Module, name: str, file_format: Format = "peft", *, manifest: Manifest | None = None
) -> Path:
    """Writes adapter `name` of the network; returns the safetensors file.

    path: a folder for "peft", else the file. ValueError for another format or no such adapter.
    """
    path, layers = Path(path), adapters.layers_of(network, name)
    if file_format == "peft":
        path = path / "adapter_model.safetensors"
        tensors = _peft_tensors(layers, PREFIX)
        header = {"format": "pt"}
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_text(path.parent / "adapter_config.json", json.dumps(peft_config(layers), indent=2))
    elif file_format == "diffusers":
        part = "unet" if type(naming.core(network)[1]).__name__ == "UNet2DConditionModel" else "transformer"
        prefix = naming.core(network)[0]
        layers = {module.removeprefix(prefix): layer for module, layer in layers.items()}
        tensors = _peft_tensors(layers, f"{part}.")
        about = {f"{part}.{key}": value for key, value in _kwargs(layers).items()}
        header = {"format": "pt", "lora_adapter_metadata": json.dumps(about, indent=2, sort_keys=True)}
    elif file_format == "kohya":
        tensors = kohya_tensors(layers, network)
        ranks = {layer.rank for layer in layers.values()}
        header = {"ss_network_module": "networks.lora", "ss_network_dim": str(max(ranks))}
        header["ss_network_alpha"] = str(next(iter(layers.values())).alpha)
    else:
        raise ValueError(f"file_format: expected peft, diffusers or kohya, got {file_format!r}; choose one")
    write(path, tensors, header, manifest)
    return path


def save_adapter(path: Path, state: dict[str, Tensor], manifest: Manifest | None = None) -> None:
    """Writes the tensors of `adapters.adapter_state` as they are: our own form, for any network."""
    ranks = {module: layer.rank for module, layer in from_state(state).items()}
    header = {"format": "pt", "r": str(adapters.most_common(ranks))}
    if len(set(ranks.values())) == 1:
        header["lora_alpha"] = header["r"]
    write(path, state, header, manifest)


def write(path: Path, tensors: dict[str, Tensor], header: dict[str, str], manifest: Manifest | None) -> None:
    """Safetensors with the header, and the manifest in it and beside it as <name>.manifest.json."""
    from safetensors.torch import save

    if manifest is not None:
        header = header | {MANIFEST_KEY: manifest.to_json()} | manifest.common_header()
    data = save({key: value.contiguous().clone() for key, value in tensors.items()}, metadata=header)
    with atomic_write(path) as part:
        part.write_bytes(_ordered(data))
        part.chmod(0o644)
    if manifest is not None:
        _write_text(path.with_name(path.stem + ".manifest.json"), manifest.to_json(indent=2))


def _ordered(data: bytes) -> bytes:
    """Safetensors with a sorted header: the library writes it in another order every time."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def peft_config(layers: dict[str, LowRank]) -> dict:
    """What peft wants beside its tensors."""
    return {"peft_type": "LORA", "bias": "none", "inference_mode": True, **_kwargs(layers)}


def kohya_tensors(layers: dict[str, LowRank], network: nn.Module) -> dict[str, Tensor]:
    """lora_down, lora_up and alpha of each layer under sd-scripts' names."""
    sizes = {path: layer.weight.shape[0] for path, layer in naming.layers(network).items()}
    foreign = naming.original_names(network)
    entries = foreign if _is_original_kohya(network) else []
    entries = entries + [naming.Foreign(path, (path,)) for path in layers if not _covered(path, entries)]
    tensors: dict[str, Tensor] = {}
    for entry in entries:
        parts = {module: layers[module] for module in entry.modules if module in layers}
        if not parts:
            continue
        layer = next(iter(parts.values())) if len(entry.modules) == 1 else joined(entry.modules, parts, sizes)
        layer = layer.halves_exchanged() if entry.swapped else layer
        key = "lora_unet_" + naming.flat(entry.name)
        tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = layer.down, layer.up
        tensors[f"{key}.alpha"] = torch.tensor(layer.alpha)
    return tensors


def joined(modules: tuple[str, ...], parts: dict[str, LowRank], sizes: dict[str, int]) -> LowRank:
    """One layer for several that stand on the same input: outputs stacked, ranks added where the downs differ."""
    present = list(parts.values())
    shared = all(p.alpha == present[0].alpha and torch.equal(p.down, present[0].down) for p in present)
    rank = present[0].rank if shared else sum(p.rank for p in present)
    up = torch.zeros(sum(sizes[m] for m in modules), rank)
    scale = present[0].scale
    row = column = 0
    for module in modules:
        if module in parts:
            part, start = parts[module], 0 if shared else column
            up[row : row + sizes[module], start : start + part.rank] = part.up * (part.scale / scale)
            column += part.rank
        row += sizes[module]
    down = present[0].down if shared else torch.cat([p.down for p in present])
    return LowRank(down, up, scale * rank)


def _is_original_kohya(network: nn.Module) -> bool:
    """sd-scripts trains SDXL, SD3 and FLUX on the original authors' networks, SD 1 and 2 on diffusers' names."""
    inner = naming.core(network)[1]
    if type(inner).__name__ == "UNet2DConditionModel":
        return getattr(inner.config, "addition_embed_type", None) == "text_time"
    return True


def _covered(path: str, entries: list[naming.Foreign]) -> bool:
    return any(path in entry.modules for entry in entries)


def _peft_tensors(layers: dict[str, LowRank], prefix: str) -> dict[str, Tensor]:
    pairs = {f"{prefix}{module}.lora_A.weight": layer.down for module, layer in layers.items()}
    return pairs | {f"{prefix}{module}.lora_B.weight": layer.up for module, layer in layers.items()}


def _kwargs(layers: dict[str, LowRank]) -> dict:
    """The part of peft's LoraConfig that every version knows; more of it would break older readers."""
    ranks = {module: layer.rank for module, layer in layers.items()}
    alphas = {module: layer.alpha for module, layer in layers.items()}
    return {
        "r": adapters.most_common(ranks),
        "lora_alpha": adapters.most_common(alphas),
        "rank_pattern": adapters.patterns(ranks),
        "alpha_pattern": adapters.patterns(alphas),
        "target_modules": sorted(layers),
    }


def _write_text(path: Path, text: str) -> None:
    atomic_write_text(path, text + "\n")
