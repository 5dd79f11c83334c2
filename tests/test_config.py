"""Every preset, experiment and option composes; wrong ones are refused in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from nerf2mesh.config import Config, compose_config, load_config, to_config, to_yaml
from tests.test_recipe_table import COMPOSED

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
OTHERS = {"hydra", "launch", "training"}
"""Groups of Hydra itself and of the other commands."""
OPTIONS = sorted(
    f"{path.parent.name}={path.stem}" for path in CONFIGS.glob("*/*.yaml") if path.parent.name not in OTHERS
)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in COMPOSED])
def test_every_option_composes(option: str) -> None:
    """Those that test_recipe_table composes, value for value, are left out."""
    config = load_config([option])
    assert isinstance(config, Config)
    assert all(not isinstance(getattr(config, item.name), dict) for item in dataclasses.fields(config))


def test_defaults_are_the_dataclasses_defaults() -> None:
    """The standard preset is what the rooms say, so that code and configs cannot drift apart."""
    assert load_config() == Config()


def test_presets_and_groups_of_the_plan_exist() -> None:
    for preset in ("preview", "standard", "high", "demo"):
        assert f"preset={preset}" in OPTIONS
    for group in ("input", "prior", "lora", "field", "renderer", "distill", "optimize", "mesh", "report"):
        assert any(option.startswith(f"{group}=") for option in OPTIONS)


def test_command_line_wins_over_preset() -> None:
    assert load_config(["preset=preview", "mesh.resolution=77"]).mesh.resolution == 77


def test_composing_again_and_inside_another_hydra() -> None:
    assert load_config(["seed=1"]).seed == 1 and load_config(["seed=2"]).seed == 2
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        assert load_config(["seed=3"]).seed == 3
        assert compose("config", ["seed=4"]).seed == 4  # the outer one is still in force
    assert not GlobalHydra.instance().is_initialized()


def test_yaml_round_trip() -> None:
    config = load_config(["preset=preview", "input.image=cup.png"])
    loaded = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(to_yaml(config)))
    assert to_config(loaded) == config


def test_tuples_stay_tuples() -> None:
    def check(value: object, default: object) -> None:
        for item in dataclasses.fields(value):
            mine, theirs = getattr(value, item.name), getattr(default, item.name)
            assert type(mine) is type(theirs), item.name
            if dataclasses.is_dataclass(mine):
                check(mine, theirs)

    check(load_config(), Config())


WRONG = {
    "inptu.image=x": r"inptu\.image: no such setting; did you mean input\.image",
    "field.n_level=3": r"field\.n_level: no such setting; did you mean field\.n_levels",
    "+field.made_up=3": r"field\.made_up: no such setting",
    "+made_up=3": r"made_up: no such setting",
    "input.elevations.south=a.png": r"input\.elevations\.south: expected a new entry with a plus .*; write \+input",
    "nonsense=1": r"nonsense: no such setting; see nerf2mesh --cfg job",
    "experiment=stable_zero12": r"experiment: expected one of .*stable_zero123.*, got stable_zero12",
    "hydra.searchpath=[nowhere/mine]": r"hydra\.searchpath: expected folders that are there, got nowhere/mine; write",
    "+hydra.made_up=1": r"hydra\.made_up: no such setting",
    "+hydra.job.made_up=1": r"hydra\.job\.made_up: no such setting",
    "preset=ultra": r"preset: expected one of demo, high, instant, preview, standard, tiny, got ultra",
    "prior=nothing": r"prior: expected one of .*builtin",
    "field.n_levels=many": r"field\.n_levels: expected an integer of 1 to 32, got 'many'; correct it",
    "field.n_levels=0": r"field\.n_levels: expected an integer of 1 to 32, got 0; leave it out for 8",
    "seed=-1": r"seed: expected an integer of 0 to .*, got -1",
    "device=tpu": r"device: expected auto, cpu, cuda or cuda:N, got 'tpu'",
    "threads=-2": r"threads: expected an integer of 0 to 1,024, got -2",
    "seed=a=b": r"quote special characters",
    "no_equals_sign": r"quote special characters",
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_override_is_refused_in_one_line(override: str) -> None:
    with pytest.raises(ValueError, match=WRONG[override]) as caught:
        load_config([override])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("added", ["second.prior.made_up", "second.made_up"])
def test_settings_that_nobody_reads_are_refused_in_optional_groups(added: str) -> None:
    with pytest.raises(ValueError, match=rf"{added}: no such setting"):
        load_config(["experiment=magic123", f"+{added}=1"])


def test_experiments_of_ones_own_are_found_where_the_folder_is_there(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nseed: 77\n", encoding="utf-8")
    assert load_config([f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"]).seed == 77
    with pytest.raises(ValueError, match=r"hydra\.searchpath"):
        load_config([f"hydra.searchpath=[file://{tmp_path}/gone]"])


def test_hydras_own_view() -> None:
    assert compose_config(["seed=5"]).seed == 5
