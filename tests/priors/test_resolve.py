"""Finding a prior's files: names, hub ids, folders, single files; what is missing is said in one line, offline."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch

from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.priors.foundation.components import Components
from nerf2mesh.priors.foundation.resolve import NEEDED, resolve
from nerf2mesh.priors.foundation.zoo import MODEL_ZOO, PIPELINES
from nerf2mesh.priors.load import CLASSES
from tests.priors import ldm
from tests.priors.conftest import Models, four_cameras, noisy_latents, observations


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **settings: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in the hub's layout."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(hub: Path, place: str, folder: Path, revision: str = "0" * 40) -> Path:
    """A snapshot of `folder` under the id `place`."""
    base = hub / f"models--{place.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(revision)
    return Path(shutil.copytree(folder, base / "snapshots" / revision))


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 420, text
    return text


def test_every_known_name_has_a_class_and_a_config() -> None:
    configs = {path.stem for path in (Path(__file__).resolve().parents[2] / "configs" / "prior").glob("*.yaml")}
    assert set(MODEL_ZOO) <= configs
    for known in MODEL_ZOO.values():
        assert known.family in CLASSES and known.family in NEEDED and known.licence and known.ids
    assert set(PIPELINES.values()) <= set(CLASSES)


def test_a_known_name_is_found_in_the_cache_under_any_of_its_ids(models: Models, hub: Path) -> None:
    put(hub, MODEL_ZOO["sd21-base"].ids[1], models.folder("sd"))
    source = resolve(PriorConfig(name="sd21-base"))
    assert source.origin == "stabilityai/stable-diffusion-2-1-base" and source.family == "sd"
    assert source.licence == "LicenseRef-CreativeML-OpenRAIL-PP-M" and str(source) == f"{source.origin} (sd)"
    prior = load_prior(PriorConfig(name="sd21-base", precision="float32", cache_dir=str(models.root / "cache")))
    assert prior.network_size == 16


def test_a_hub_id_is_taken_from_the_cache(models: Models, hub: Path) -> None:
    put(hub, "someone/tiny-flow", models.folder("sd3"))
    source = resolve(PriorConfig(model="someone/tiny-flow"))
    assert source.family == "sd3" and source.origin == "someone/tiny-flow"
    assert source.licence == ""


def test_what_is_not_there_is_said_with_the_remedy(models: Models, hub: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"prior\.name: .*v1-5 is not in the local cache, and offline") as error:
        resolve(PriorConfig(name="sd15"))
    assert "hf download stable-diffusion-v1-5/stable-diffusion-v1-5" in one_line(error)
    with pytest.raises(ValueError, match=r"prior\.model: no folder nowhere/at/all") as error:
        resolve(PriorConfig(model="nowhere/at/all"))
    one_line(error)
    with pytest.raises(ValueError, match=r"without model_index\.json") as error:
        resolve(PriorConfig(model=str(tmp_path)))
    one_line(error)
    put(hub, "someone/torn", models.folder("sd"))
    for path in (hub / "models--someone--torn").rglob("vae/*.safetensors"):
        path.unlink()
    with pytest.raises(ValueError, match=r"lacks vae/\*\.safetensors in .*where there is a network run: hf") as error:
        resolve(PriorConfig(model="someone/torn"))
    one_line(error)


def test_only_what_is_needed_is_asked_of_the_hub(
    models: Models, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pretended hub: the repository also holds a single file, a pickle and another variant, which are left there."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils import filter_repo_objects

    there = Path(shutil.copytree(models.folder("sd"), tmp_path / "there"))
    for extra in (
        "v1-5-pruned.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ):
        (there / extra).write_bytes(b"not wanted")

    def snapshot(place, revision=None, local_files_only=False, allow_patterns=None, ignore_patterns=None):
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        names = [str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            (tmp_path / "got" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(there / name, tmp_path / "got" / name)
        return str(tmp_path / "got")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    source = resolve(PriorConfig(name="sd15"))
    assert source.origin == MODEL_ZOO["sd15"].ids[0] and (tmp_path / "got" / "tokenizer").is_dir()
    got = {path.name for path in (tmp_path / "got").rglob("*") if path.is_file()}
    assert not got & {
        "v1-5-pruned.safetensors",
        "diffusion_pytorch_model.bin",
        "diffusion_pytorch_model.fp16.safetensors",
    }
    with pytest.raises(ValueError, match="is not in the local cache, and offline"):
        resolve(PriorConfig(name="sd15", offline=True))


def test_foreign_models_are_refused(models: Models, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models.folder("sd"), tmp_path / "video"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "CogVideoXPipeline"}))
    with pytest.raises(ValueError, match=r"expected one of StableDiffusionPipeline.*CogVideoXPipeline") as error:
        resolve(PriorConfig(model=str(folder)))
    one_line(error)
    (folder / "model_index.json").write_text(json.dumps(index | {"unet": ["their_code", "TheirUNet"]}))
    with pytest.raises(ValueError, match=r"wants their_code\.TheirUNet for unet, which is not known here") as error:
        load_prior(PriorConfig(model=str(folder)))
    one_line(error)
    (folder / "model_index.json").write_text("{")
    with pytest.raises(ValueError, match=r"not readable JSON"):
        resolve(PriorConfig(model=str(folder)))


def test_variants_are_kept_apart(models: Models, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models.folder("sd"), tmp_path / "half"))
    for name, stem in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        (folder / name / f"{stem}.safetensors").rename(folder / name / f"{stem}.fp16.safetensors")
    with pytest.raises(ValueError, match=r"lacks unet/\*\.safetensors, .*set prior\.variant"):
        resolve(PriorConfig(model=str(folder)))
    settings = {"precision": "float32", "cache_dir": str(tmp_path / "cache")}
    prior = load_prior(PriorConfig(model=str(folder), variant="fp16", **settings))
    prior.condition(observations())


def test_pickles_with_more_than_tensors_are_not_opened(models: Models, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    folder = Path(shutil.copytree(models.folder("zero123"), tmp_path / "trap"))
    projection = folder / "clip_camera_projection"
    weights = {"proj.weight": torch.zeros(16, 20), "proj.bias": torch.zeros(16)}
    (projection / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(weights, projection / "diffusion_pytorch_model.bin")
    load_prior(PriorConfig(model=str(folder), precision="float32"))  # nothing but tensors: fine
    torch.save(weights | {"more": Trap()}, projection / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match="with more than tensors in it, and is not opened"):
        load_prior(PriorConfig(model=str(folder), precision="float32"))
    (tmp_path / "model.ckpt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"model\.ckpt, which may be a pickle and is not opened"):
        resolve(PriorConfig(model=str(tmp_path / "model.ckpt")))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_part_with_a_tensor_missing_is_not_filled_with_noise(models: Models, tmp_path: Path, part: str) -> None:
    """Both libraries would draw it at random and say so in a warning that nobody reads."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(models.folder("sd"), tmp_path / "sd"))
    (file,) = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    gone = next(name for name, value in weights.items() if value.ndim > 1)
    del weights[gone]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"{part} lacks 1 of its tensors, such as {gone.replace('.', chr(92) + '.')}"):
        config = PriorConfig(model=str(folder), precision="float32", cache_dir=str(tmp_path / "cache"))
        load_prior(config).condition(observations())


def test_multiview_weights_that_do_not_fit_are_named(models: Models, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(models.folder("mvdream"), tmp_path / "mvdream"))
    (file,) = (folder / "unet").glob("*.safetensors")
    weights = load_file(file)
    weights["elsewhere.weight"] = weights.pop("out.2.bias")
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"unet do not fit .*out\.2\.bias.*elsewhere\.weight.*get it anew"):
        load_prior(PriorConfig(model=str(folder), precision="float32"))


def test_single_file_with_local_configuration(tmp_path: Path) -> None:
    """A checkpoint in the latent-diffusion layout: UNet, VAE and text encoder from one file, the hub never asked."""
    file = ldm.write(tmp_path / "configs", tmp_path / "model.safetensors")
    settings = {"precision": "float32", "cache_dir": str(tmp_path / "cache")}
    prior = load_prior(PriorConfig(model=str(file), config_dir=str(tmp_path / "configs"), **settings))
    condition, noisy = prior.condition(observations()), noisy_latents(prior)
    with torch.no_grad():
        assert prior.predict(noisy, torch.tensor([0.5]), four_cameras(), condition).isfinite().all()
    again = ldm.tiny_weights(tmp_path)
    key = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    assert torch.equal(prior.network.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q.weight, again[key])
    key = "first_stage_model.encoder.mid.attn_1.q.weight"
    assert torch.equal(prior.vae.encoder.mid_block.attentions[0].to_q.weight, again[key][:, :, 0, 0])


def test_single_file_troubles(models: Models, tmp_path: Path, hub: Path) -> None:
    with pytest.raises(ValueError, match=r"no file .*none\.safetensors"):
        resolve(PriorConfig(model=str(tmp_path / "none.safetensors")))
    file = ldm.write(tmp_path / "configs", tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds weights only; add prior\.config_dir=FOLDER") as error:
        resolve(PriorConfig(model=str(file)))
    one_line(error)
    with pytest.raises(ValueError, match=r"does not fit the configuration of unet in .*prior\.config_dir") as error:
        load_prior(PriorConfig(model=str(file), config_dir=str(models.folder("sd")), precision="float32"))
    one_line(error)
    put(hub, MODEL_ZOO["sd15"].ids[0], tmp_path / "configs")
    source = resolve(PriorConfig(name="sd15", model=str(file)))
    assert source.components.file == file, "configurations of the known name, from the cache"


def test_settings_are_checked_in_one_line() -> None:
    assert PriorConfig(model="x/y").name == "auto"
    for settings, message in {
        ("name", "dall-e"): r"prior\.name: expected builtin, sd15",
        ("name", "auto"): r"prior\.name: expected prior\.model",
        ("precision", "float16"): r"prior\.precision: expected auto, bfloat16 or float32 with",
        ("control", "pose"): r"prior\.control: expected one of scribble",
        ("control_from", "air"): r"prior\.control_from: expected one of rendering, reference",
        ("background", 2.0): r"prior\.background: expected a number from 0 to 1, or null, got 2",
        ("resolution", 4): r"prior\.resolution: expected an integer of 8 to 4,096, or null, got 4",
        ("rows_per_forward", -1): r"prior\.rows_per_forward: expected an integer of 0 to",
    }.items():
        with pytest.raises(ValueError, match=message):
            PriorConfig(**dict([settings]))


def test_digests_follow_content_not_place(models: Models, tmp_path: Path) -> None:
    here, there = models.folder("sd"), Path(shutil.copytree(models.folder("sd"), tmp_path / "copy"))
    first, second = ({}, {})
    assert Components.read(here).digest("text_encoder", first) == Components.read(there).digest("text_encoder", second)
    (there / "text_encoder" / "config.json").write_text("{}")
    assert Components.read(here).digest("text_encoder", first) != Components.read(there).digest("text_encoder", second)
