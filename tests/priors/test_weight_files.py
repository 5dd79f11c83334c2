"""Weight files of strangers: what their headers ask for is held to what can be built, before it is."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.priors.builtin.weight_files import export_network, mesh_sources, read_network, read_training
from nerf2mesh.priors.builtin.weight_header import RANGES

SMALL = DenoiserConfig(
    image_size=16, channels=8, volume_size=4, volume_channels=8, deep_channels=8, n_deep=1, n_ray_samples=2
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "whole.safetensors"
    export_network(SMALL.build(), {"steps": 1}, file)
    return file


def refused(file: Path) -> str:
    with pytest.raises(ValueError, match=r"^prior\.weights: ") as error:
        read_network(file)
    text = str(error.value)
    assert "\n" not in text and file.name in text and len(text) < 500, text
    return text


def with_header(whole: Path, folder: Path, network: object, **more: str) -> Path:
    text = network if isinstance(network, str) else json.dumps(network)
    save_file(load_file(whole), folder / "other.safetensors", metadata={"network": text} | more)
    return folder / "other.safetensors"


@pytest.mark.parametrize("name", list(RANGES))
@pytest.mark.parametrize("value", [10**9, -1, 1.5, "8", None, True, [8]])
def test_sizes_that_cannot_be_are_refused_before_they_are_built(
    name: str, value: object, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DenoiserConfig, "build", None)
    file = with_header(whole, tmp_path, SMALL.as_dict() | {name: value})
    assert f"expected {name} of " in refused(file)


@pytest.mark.parametrize("network", ["{", "[1]", "null", '"x"', "[" * 100_000, json.dumps({"x": 1}), "{" + " " * 2**20])
def test_headers_that_are_no_configuration_are_refused(network: str, whole: Path, tmp_path: Path) -> None:
    refused(with_header(whole, tmp_path, network))


def test_large_sizes_are_compared_without_memory(whole: Path, tmp_path: Path) -> None:
    """Every size at its most: some 10^9 numbers, of which none is allocated."""
    sizes = {name: most for name, (_, most, _) in RANGES.items()}
    assert "does not fit its own configuration" in refused(with_header(whole, tmp_path, sizes))


def test_tensors_that_do_not_fit_are_named(whole: Path, tmp_path: Path) -> None:
    about = {"network": json.dumps(SMALL.as_dict())}
    weights, file = load_file(whole), tmp_path / "changed.safetensors"
    changes = {
        "no head.bias": {key: value for key, value in weights.items() if key != "head.bias"},
        "extra, which it does not have": weights | {"extra": torch.zeros(1)},
        "expected head.bias of shape (16,) in F16, BF16, F32, got (1,)": weights | {"head.bias": torch.zeros(1)},
        "got (16,) in I64": weights | {"head.bias": torch.zeros(16, dtype=torch.int64)},
        "expected finite numbers in head.bias": weights | {"head.bias": torch.full((16,), torch.nan)},
    }
    for message, changed in changes.items():
        save_file(changed, file, metadata=about)
        assert message in refused(file)


def test_what_a_header_says_of_the_training_may_be_anything(whole: Path, tmp_path: Path) -> None:
    assert read_training(whole) == {"steps": 1}
    file = with_header(whole, tmp_path, SMALL.as_dict(), training='{"meshes": 3}')
    assert mesh_sources(file) == []
    file = with_header(whole, tmp_path, SMALL.as_dict(), training="{")
    with pytest.raises(ValueError, match=r"^prior\.weights: expected a JSON object"):
        read_training(file)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_give_a_network_or_one_line(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes of the header or of the numbers changed, or the file cut."""
    content = bytearray(whole.read_bytes())
    end = 8 + int.from_bytes(content[:8], "little") if data.draw(st.booleans()) else len(content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "fuzzed.safetensors"
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    said = said_of(file)
    assert said == "read" or (said.startswith("prior.weights: ") and "\n" not in said)


def said_of(file: Path) -> str:
    """ "read", or the refusal; any other error goes on."""
    try:
        read_network(file)
    except ValueError as error:
        return str(error)
    return "read"
