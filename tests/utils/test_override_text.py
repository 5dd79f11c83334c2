"""Paths and free text reach the configuration as they were typed, through Hydra's own parser."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from nerf2mesh import load_config
from nerf2mesh.utils.override_text import command_line, written_out

AWKWARD = [
    "Schüssel.png",
    "茶壶.png",
    "a cup, it's = red.png",
    'a cup, it\'s "red" = nice (100%)',
    "C:\\pictures\\cup.png",
    "ends in a backslash\\",
    '\\"',
    "[a]{b}(c)#!;&|<>?*$~@^`",
    "key=value",
    "007",
    "1e3",
    "true",
    "-1",
    "a: b",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_prompts_and_paths_are_taken_as_typed(text: str) -> None:
    config = load_config([f"input.prompt={text}", f"input.image={text}", f"lora.class_prompt={text}"])
    assert (config.input.prompt, config.input.image, config.lora.class_prompt) == (text, text, text)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_text_is_read_back_by_hydras_parser(text: str) -> None:
    typed = text.strip()
    quoted = any(len(typed) > 1 and typed[0] == typed[-1] == quote for quote in "\"'")
    if not typed or typed == "null" or quoted:
        return
    parsed = OverridesParser.create().parse_override(written_out(f"input.prompt={typed}"))
    assert str(parsed.value()) == typed


def test_quoted_values_keep_hydras_meaning() -> None:
    assert load_config(['input.prompt="茶, hot"']).input.prompt == "茶, hot"
    assert load_config(["input.prompt='it is'"]).input.prompt == "it is"
    assert load_config(["input.image=null"]).input.image is None


def test_what_is_plain_is_left_alone() -> None:
    for override in ("input.image=pictures/cup.png", "input.prompt=a red cup", "seed=3", "preset=tiny", "lora=none"):
        assert written_out(override) == override


def test_lists_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a, b.safetensors").touch()
    config = load_config(["lora=[größe.safetensors,a, b.safetensors,it's.safetensors]"])
    assert config.lora.adapters == ["größe.safetensors", "a, b.safetensors", "it's.safetensors"]
    assert load_config(["lora=[a,b]", "lora.weights=[1,0.5]"]).lora.weights == [1.0, 0.5]


def test_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    config = load_config(["input.image=~/cup.png", "output_dir=~/o", "prior.weights=~/w.safetensors"])
    wanted = ("/home/someone/cup.png", "/home/someone/o", "/home/someone/w.safetensors")
    assert (config.input.image, config.output_dir, config.prior.weights) == wanted


def test_values_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a, b.png").touch()
    line = command_line(["-m", "input.image=Schüssel.png,a, b.png", "input.prompt=it's,two words", "seed=0,1"])
    parsed = [OverridesParser.create().parse_override(word) for word in line[1:]]
    values = [[getattr(value, "text", value) for value in override.sweep_iterator()] for override in parsed]
    assert values == [["Schüssel.png", "a, b.png"], ["it's", "two words"], [0, 1]]
    assert command_line(["-m", "input.prompt=choice(a,b)"]) == ["-m", "input.prompt=choice(a,b)"]


def test_a_bare_picture_is_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x = y.png").touch()
    assert command_line(["cup.png", "seed=1"], takes_picture=True) == ["input.image=cup.png", "seed=1"]
    assert command_line(["x = y.png"], takes_picture=True) == ['input.image="x = y.png"']
    assert command_line(["--config-dir", "a.png", "-m"], takes_picture=True) == ["--config-dir", "a.png", "-m"]
    assert command_line(["cup.png"]) == ["cup.png"]


def test_many_pictures_become_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("many").mkdir()
    for name in ("many/b.png", "many/ä, c.jpg", "many/notes.txt", "base1.png", "base2.png"):
        Path(name).touch()
    assert command_line(["-m", "input.image=glob(base*)"], takes_picture=True)[1] == "input.image=base1.png,base2.png"
    line = command_line(["input.image=many", "seed=1"], takes_picture=True)
    assert line == ["--multirun", 'input.image=many/b.png,"many/ä, c.jpg"', "seed=1"]
    for none in ("glob(nothing*)", "empty"):
        Path("empty").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=r"^input\.image: expected pictures, got (none for|the folder)"):
            command_line([f"input.image={none}"], takes_picture=True)
