"""Damaged LoRA files and weight files of the built-in prior: layers, a network, or one line with the file's name.

python -m tests.fuzz.lora SECONDS [SEED]
"""

from __future__ import annotations

import functools
import json
import random
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save

from nerf2mesh.lora.io.files import read
from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.priors.builtin.weight_files import export_network, read_network
from tests.fuzz.common import ODD, command, damaged, damaged_json, run, stand_in

SMALL = DenoiserConfig(
    image_size=16, channels=8, volume_size=4, volume_channels=8, deep_channels=8, n_deep=1, n_ray_samples=2
)


@functools.cache
def adapters() -> list[bytes]:
    """One small file in each naming: diffusers, peft, kohya."""
    down, up = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.ones(4, 2)
    about = {"format": "pt", "lora_adapter_metadata": '{"unet.lora_alpha": 2, "unet.r": 2}'}
    kohya = {"lora_unet_a.lora_down.weight": down, "lora_unet_a.lora_up.weight": up}
    kohya["lora_unet_a.alpha"] = torch.tensor(1.0)
    return [
        save({"unet.a.lora_A.weight": down, "unet.a.lora_B.weight": up}, metadata=about),
        save({"base_model.model.a.lora_A.weight": down, "base_model.model.a.lora_B.weight": up}),
        save(kohya, metadata={"ss_network_dim": "2", "ss_network_alpha": "1"}),
    ]


@functools.cache
def weights() -> bytes:
    """A tiny network's file."""
    with tempfile.TemporaryDirectory() as folder:
        export_network(SMALL.build(), {"steps": 1}, Path(folder) / "w.safetensors")
        return (Path(folder) / "w.safetensors").read_bytes()


def header_changed(data: bytes, draw: random.Random) -> bytes:
    """A safetensors file whose header has odd values in it, its length right; JSON inside texts is changed too."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    said = header.get("__metadata__", {})
    inner = [key for key, value in said.items() if str(value).startswith("{")]
    if inner and draw.random() < 0.6:
        key = draw.choice(inner)
        said[key] = json.dumps(damaged_json(json.loads(said[key]), draw))
    else:
        header = damaged_json(header, draw)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def case(draw: random.Random, folder: Path) -> str:
    is_adapter = draw.random() < 0.6
    path = folder / ("adapter_model.safetensors" if is_adapter else "weights.safetensors")
    data = draw.choice(adapters()) if is_adapter else weights()
    path.write_bytes(draw.choice((damaged, header_changed))(data, draw))
    if is_adapter and draw.random() < 0.4:
        whole = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "alpha_pattern": {"a": 2, "b.*": 3}, "use_rslora": False}
        config = damaged_json(whole, draw) if draw.random() < 0.9 else draw.choice(ODD)
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8", errors="replace")
    if draw.random() < 0.05:
        stand_in(draw.choice(list(folder.iterdir())), draw)
    try:
        read(draw.choice((folder, path))) if is_adapter else read_network(path)
    except ValueError as error:
        assert any(name in str(error) for name in (path.name, "adapter_config", str(folder))), error
        raise
    return path.name


def main(seconds: float, seed: int = 0) -> dict[str, int]:
    """Counts of cases, tracebacks and hangs, and of what was read and refused."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:  # whole files first: what they import takes its time once
        for name, data, reader in (("a", adapters()[0], read), ("w", weights(), read_network)):
            path = Path(folder) / f"{name}.safetensors"
            path.write_bytes(data)
            reader(path)
    return run(case, seconds, seed)


if __name__ == "__main__":
    command(main)
