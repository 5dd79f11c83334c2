"""The allow-list: what is on it means the same as on the command line, nothing else gets through."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerf2mesh.config import load_config
from nerf2mesh.serve.allowed import ALLOWED, NARROWER, PRESETS, adapter_names, described, known_presets, overrides_of


def overrides(folder: Path | None = None, /, **asked: object) -> list[str]:
    return overrides_of(asked, PRESETS, folder)


def test_settings_arrive_as_they_were_sent() -> None:
    asked = {"preset": "tiny", "seed": 7, "input.recenter": False, "input.elevation_deg": "auto", "use": None}
    asked |= {"mesh.target_faces": 300, "input.fill": 0.5, "input.prompt": 'a "red" cup, it\'s {odd}: ~ = [1]'}
    config = load_config(overrides_of(asked, PRESETS, None))
    assert (config.seed, config.input.recenter, config.input.elevation_deg) == (7, False, "auto")
    assert (config.use, config.mesh.target_faces, config.input.fill) == (None, 300, 0.5)
    assert config.input.prompt == asked["input.prompt"] and config.optimize.steps == 4


@given(st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=40))
@settings(max_examples=12, deadline=None)
def test_any_words_are_the_prompt_or_are_refused(words: str) -> None:
    try:
        line = overrides(**{"input.prompt": words})[1]
    except ValueError as error:
        assert str(error).startswith("input.prompt: expected at most")
        line = "input.prompt=refused"
    assert load_config(["preset=tiny", line]).input.prompt in (words, "refused")


@pytest.mark.parametrize("words", ['"cup"', "'cup'", '""', '"a" "b"', 'cup"', "null", "true", "7", "[a]", "a, b", "~"])
def test_words_that_mean_something_on_a_command_line_are_plain_words(words: str) -> None:
    assert load_config(["preset=tiny", overrides(**{"input.prompt": words})[1]]).input.prompt == words


@pytest.mark.parametrize(
    "name, value",
    [
        ("input.image", "/etc/passwd"),
        ("output_dir", "/tmp/x"),
        ("lora.adapters", ["/etc/passwd"]),
        ("prior", "latent"),
        ("prior.model", "someone/model"),
        ("device", "cuda"),
        ("hydra.run.dir", "/tmp"),
        ("+x", 1),
        ("~mesh", ""),
        ("experiment", "demo"),
        ("preset", "../secret"),
        ("preset", ["tiny"]),
        ("seed", -1),
        ("seed", True),
        ("seed", 1.5),
        ("seed", "1"),
        ("seed", {"a": 1}),
        ("seed", float("nan")),
        ("mesh.resolution", 2048),
        ("mesh.texture_size", 16_384),
        ("optimize.steps", 10_000_000),
        ("input.foreground", "birefnet"),
        ("input.recenter", 1),
        ("input.recenter", "true"),
        ("input.prompt", "${oc.env:HOME}"),
        ("input.prompt", "${output_dir}"),
        ("input.prompt", "two\nlines"),
        ("input.prompt", "back\\slash"),
        ("input.prompt", "x" * 1001),
        ("input.prompt", None),
        ("adapters", ["../../etc/passwd"]),
        ("adapters", "style"),
        ("adapters", [["style"]]),
    ],
)
def test_everything_else_is_refused_in_one_line(name: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "style.safetensors").touch()
    with pytest.raises(ValueError, match=r"^[\w.]+: expected .*got .*") as caught:
        overrides(tmp_path, **{name: value})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_adapters_are_the_files_of_the_owner(tmp_path: Path) -> None:
    (tmp_path / "ink, thin.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    assert adapter_names(tmp_path) == ["ink, thin"] and adapter_names(None) == []
    config = load_config(overrides(tmp_path, adapters=["ink, thin"]))
    assert [str(item) for item in config.lora.adapters] == [str(tmp_path / "ink, thin.safetensors")]
    assert load_config(overrides(adapters=[])).lora.adapters == []


def test_the_list_is_described_and_no_wider_than_the_command_line() -> None:
    assert set(described(PRESETS, None)) == {"preset", "adapters", *ALLOWED} and set(NARROWER) <= set(ALLOWED)
    assert not [name for name in ALLOWED if any(word in name for word in ("dir", "image", "weights", "model", "key"))]


def test_the_owner_may_offer_fewer_presets() -> None:
    assert known_presets("tiny, preview") == ("tiny", "preview")
    with pytest.raises(ValueError, match="expected one of tiny, preview"):
        overrides_of({"preset": "high"}, ("tiny", "preview"), None)
    with pytest.raises(ValueError, match="--presets: expected some of"):
        known_presets("../secret")
