"""The segmentation network's input, and its files as strangers may send them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nerf2mesh.inputs.segmentation.network import SegmentationConfig, SegmentationNetwork, network_input
from nerf2mesh.inputs.segmentation.weights import read_network, write_network

TINY = SegmentationConfig(size_px=32, channels=[8, 8, 8, 8], n_deep=1)


def _written(folder: Path) -> tuple[SegmentationNetwork, Path]:
    torch.manual_seed(0)
    network = SegmentationNetwork(TINY).eval()
    write_network(network, {"step": 1}, folder / "a.safetensors")
    return network, folder / "a.safetensors"


def test_contrast_and_brightness_do_not_matter_to_the_standardized_channels() -> None:
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bright, dark = network_input(picture), network_input(0.5 * picture + 0.1)
    assert torch.allclose(bright[:, 3:6], dark[:, 3:6], atol=0.2) and torch.equal(bright[:, 6:], dark[:, 6:])
    assert not torch.allclose(bright[:, :3], dark[:, :3], atol=0.2)


def test_any_size_that_sixteen_divides() -> None:
    network = SegmentationNetwork(TINY).eval()
    assert network(torch.rand(2, 3, 48, 80)).shape == (2, 48, 80)


def test_a_file_is_read_back_to_half_precision(tmp_path: Path) -> None:
    network, path = _written(tmp_path)
    picture = torch.rand(1, 3, 32, 32)
    assert torch.allclose(read_network(path)(picture), network(picture), atol=2e-2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": None}, "a network's sizes in the header"),
        ({"network": {"size_px": 32, "channels": [8, 8, 8, 100_000], "n_deep": 1}}, "a network's sizes in the header"),
        ({"network": {"size_px": 33, "channels": [8, 8, 8, 8], "n_deep": 1}}, "a network's sizes in the header"),
        ({"network": {"size_px": 32, "channels": [8, 8, 8, 16], "n_deep": 1}}, "of shape"),
    ],
)
def test_a_foreign_header_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    _, path = _written(tmp_path)
    header = {key: json.dumps(value) for key, value in change.items()}
    save_file(load_file(path), tmp_path / "b.safetensors", metadata=header)
    with pytest.raises(ValueError, match=rf"^input\.foreground_weights: .*expected .*{said}") as caught:
        read_network(tmp_path / "b.safetensors")
    assert "\n" not in str(caught.value)


def test_other_bytes_nan_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    network, path = _written(tmp_path)
    network.stem[0].weight.data[:] = float("nan")
    write_network(network, {}, tmp_path / "nan.safetensors")
    (tmp_path / "text.safetensors").write_bytes(path.read_bytes()[:500])
    for name in ("nan", "text", "nowhere"):
        with pytest.raises(ValueError, match=rf"^input\.foreground_weights: .*{name}\.safetensors: expected"):
            read_network(tmp_path / f"{name}.safetensors")
