"""The adapters that come with the package: for the packaged prior, of free licence, heard, taken back bit for bit."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors import safe_open

from nerf2mesh import fit
from nerf2mesh.inputs.config import DOMAINS
from nerf2mesh.lora import load_adapter, packaged_adapter, packaged_materials, stack, using
from nerf2mesh.lora.packaged import FOLDER
from nerf2mesh.priors.builtin.prior import PACKAGED, BuiltinPrior
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.rights import USES, check
from nerf2mesh.types import Camera, Observations, View
from tests.tiny_run import TINY


def manifest_of(name: str) -> dict:
    with safe_open(str(packaged_adapter(name)), framework="pt") as file:
        return json.loads(file.metadata()["nerf2mesh"])


NAMES = sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def test_they_are_named_by_kinds_of_pictures() -> None:
    assert NAMES and set(NAMES) <= set(DOMAINS)
    assert all(packaged_adapter(name) == str(FOLDER / f"{name}.safetensors") for name in NAMES)
    assert packaged_adapter("photo") is None and packaged_adapter("no such kind") is None


@pytest.mark.parametrize("name", NAMES)
def test_they_were_trained_on_the_packaged_prior_from_free_meshes(name: str) -> None:
    manifest = manifest_of(name)
    assert manifest["base_sha256"] == hashlib.sha256(PACKAGED.read_bytes()).hexdigest()
    assert manifest["licence"] == "CC0-1.0"
    assert {source["licence"] for source in manifest["sources"]} == {"CC0-1.0"}


@pytest.mark.parametrize("name", NAMES)
def test_the_prior_hears_them_and_is_the_same_without(name: str) -> None:
    prior = BuiltinPrior.load(PriorConfig())
    size = prior.image_size
    view = View(torch.rand(size, size, 4, generator=torch.Generator().manual_seed(0)), Camera.orbit(0.0, 20.0))
    condition = prior.condition(Observations((view,)))
    cameras = Camera.stack([view.camera.turned(90.0).resized(size, size)])[None]
    noisy = torch.randn(1, 1, 4, size, size, generator=torch.Generator().manual_seed(1))

    def predicted() -> torch.Tensor:
        with torch.inference_mode():
            return prior.predict(noisy, torch.tensor([0.9]), cameras, condition)

    bare = predicted()
    loaded = load_adapter(prior, "look", packaged_adapter(name))
    assert loaded.message() == ""
    stack(prior.network, {"look": 1.0})
    assert float((predicted() - bare).abs().mean()) > 1e-3
    with using(prior.network, {}):
        assert torch.equal(predicted(), bare)


@pytest.mark.parametrize("name", NAMES)
def test_their_materials_pass_the_gate_for_every_use(name: str) -> None:
    rows = packaged_materials(str(packaged_adapter(name)))
    assert rows[0].what == "adapter" and 1 < len(rows) < 20
    assert sum(int(row.name.split("(")[1].split()[0]) for row in rows[1:]) == len(manifest_of(name)["sources"])
    assert all(check(rows, use) == [] for use in USES)


def test_a_run_that_takes_one_says_so() -> None:
    image = torch.zeros(32, 32, 4)
    image[8:24, 8:24] = torch.tensor([1.0, 1.0, 1.0, 1.0])
    view = View(image, Camera.orbit(0.0, 10.0, width_px=32), domain="blueprint")
    result = fit(observations=Observations((view,)), overrides=[*TINY, "report=quiet"])
    told = [row["what"] for row in result.record.content["materials"]]
    assert "adapter" in told and "training data of adapter" in told and "blueprint" in result.attribution
    plain = fit(observations=Observations((view,)), overrides=[*TINY, "report=quiet", "lora.packaged=false"])
    assert "adapter" not in [row["what"] for row in plain.record.content["materials"]]
