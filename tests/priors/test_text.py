"""Text embeddings on disk: made once, found again, never a pickle, and no encoder is loaded for what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.priors.foundation import text
from nerf2mesh.priors.foundation.components import Components
from nerf2mesh.priors.foundation.text import Encoder
from tests.priors.conftest import Models, observations

PLAIN = Encoder()


def embed(models: Models, cache: Path, *prompts: str, encoder: Encoder = PLAIN):
    parts = Components.read(models.folder("sd"))
    return text.embed(parts, encoder, list(prompts), device="cpu", precision="float32", cache=cache)


def test_made_once(models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = embed(models, tmp_path, "a cat", "a dog", "a cat")
    files = {path.name for path in tmp_path.iterdir()}
    assert len(files) == 3 and all(name.endswith((".safetensors", ".json")) for name in files)
    assert torch.equal(first[0]["hidden"], first[2]["hidden"]) and not torch.equal(
        first[0]["hidden"], first[1]["hidden"]
    )
    monkeypatch.setattr(Components, "load", lambda *a, **k: pytest.fail("an encoder was loaded"))
    again = embed(models, tmp_path, "a dog", "a cat")
    assert torch.equal(again[1]["hidden"], first[0]["hidden"])


def test_other_reading_other_file(models: Models, tmp_path: Path) -> None:
    one = embed(models, tmp_path, "a cat")[0]
    other = embed(models, tmp_path, "a cat", encoder=Encoder(hidden="penultimate"))[0]
    assert not torch.equal(one["hidden"], other["hidden"])
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_other_weights_other_file(models: Models, tmp_path: Path) -> None:
    from tests.priors import tiny

    embed(models, tmp_path / "cache", "a cat")
    parts = Components.read(tiny.write("sd", tmp_path / "other", seed=9))
    text.embed(parts, Encoder(), ["a cat"], device="cpu", precision="float32", cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 2


def test_damaged_list_of_digests_is_begun_anew(models: Models, tmp_path: Path) -> None:
    (tmp_path / "digests.json").write_text("[")
    embed(models, tmp_path, "a cat")
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_folder_follows_the_users_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text.cache_folder("/x") == Path("/x/text")
    monkeypatch.setenv("XDG_CACHE_HOME", "/y")
    assert text.cache_folder(None) == Path("/y/nerf2mesh/text")


def test_sd3_without_its_third_encoder_has_zeros(models: Models) -> None:
    prior = models.prior("sd3", use_t5=False)
    hidden = prior.condition(observations()).text["plain"]["hidden"]
    assert hidden.shape == models.shared("sd3")[1].text["plain"]["hidden"].shape
    assert not hidden[-256:].any() and hidden[:-256].any()


def test_words_without_a_picture_are_an_input() -> None:
    given = load_observations(InputConfig(prompt="a cat", negative_prompt="ugly"))
    assert given.views == () and given.prompt == "a cat" and given.negative_prompt == "ugly"
    with pytest.raises(ValueError, match=r"input\.image: .*add input\.image=PICTURE\.png, or input\.prompt"):
        load_observations(InputConfig())
