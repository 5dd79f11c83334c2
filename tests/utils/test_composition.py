"""Compositions that are kept are those that Hydra makes: the same trees, the same errors, and never stale."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from nerf2mesh import config
from nerf2mesh.config import compose_config, load_config
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.utils import composition
from nerf2mesh.utils.composition import merged_once

CHOICES = (
    ["preset=tiny"],
    ["preset=tiny", "optimize.steps=3", "seed=4"],
    ["preset=preview", "distill.loss=csd", "lora.adapters=[{path: x}]"],
    ["experiment=demo", "preset=instant"],
    ["preset=preview", "preset=tiny"],
    ["experiment=magic123", "second.distill.weight=2"],
    ["prior=sd15", "distill=csd", "+hydra.job.env_set.A=b"],
)
BAD = (
    ["preset=none"],
    ["optimize.stepz=3"],
    ["+field.foo=1"],
    ["++preset=tiny"],
    ["preset={a: 1}"],
    ["hydra.job.nam=x"],
    ["preset=tiny,preview"],
)


@contextmanager
def by_hydra_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(config, "merged_once", lambda _: nullcontext())
        yield


def said(overrides: list[str]) -> str:
    """The composed tree with its types, or the error."""
    try:
        composed = compose_config(overrides)
        return OmegaConf.to_yaml(composed) + repr(config.to_config(composed)) + str(OmegaConf.is_struct(composed))
    except ValueError as error:
        return f"error: {error}"


@pytest.mark.parametrize("overrides", [*CHOICES, *BAD], ids=" ".join)
def test_the_same_as_by_hydra_alone(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = said(overrides), said(overrides)
    assert first.startswith("error: ") == (overrides in BAD), first[:200]
    with by_hydra_alone(monkeypatch):
        assert first == again == said(overrides)


def test_a_bad_one_leaves_no_trace_and_a_copy_is_ones_own() -> None:
    before = said(["preset=tiny"])
    said(["preset=tiny", "optimize.stepz=3"])
    composed = compose_config(["preset=tiny"])
    composed.optimize.steps = 12345
    load_config(["preset=tiny"]).lora.adapters.append("x")
    assert said(["preset=tiny"]) == before


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """preset=tiny in a copy of the package's files, which is in their place and has been composed once."""
    shutil.copytree(config.config_path(), tmp_path / "configs")
    monkeypatch.setattr(config, "config_path", lambda: str(tmp_path / "configs"))
    assert load_config(["preset=tiny"]).optimize.steps == 4
    return tmp_path / "configs/preset/tiny.yaml"


def to_77_steps(file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace("  steps: 4\n", "  steps: 77\n"), encoding="utf-8")


def test_a_file_that_changes_is_read_again(tiny: Path) -> None:
    to_77_steps(tiny)
    assert load_config(["preset=tiny"]).optimize.steps == 77


def test_a_thread_that_waits_sees_what_changed_meanwhile(tiny: Path) -> None:
    steps: list[int] = []
    other = threading.Thread(target=lambda: steps.append(load_config(["preset=tiny"]).optimize.steps))
    with merged_once(config.config_path()):
        other.start()
        other.join(0.3)
        assert not steps
        to_77_steps(tiny)
    other.join(30)
    assert steps == [77]


def test_links_to_nowhere_beside_the_files_are_passed_over(tiny: Path) -> None:
    """Emacs makes one for each file that is being edited."""
    tiny.with_name(".#tiny.yaml").symlink_to("me@machine.123")
    assert load_config(["preset=tiny"]).optimize.steps == 4


def test_files_of_another_package_are_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "others_of_a_test/experiment/theirs.yaml"
    file.parent.mkdir(parents=True)
    for folder in (file.parent, file.parent.parent):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    asked = ["hydra.searchpath=[pkg://others_of_a_test]", "experiment=theirs"]
    for seed in (5, 66):
        file.write_text(f"# @package _global_\nseed: {seed}\n", encoding="utf-8")
        assert load_config(asked).seed == seed
    for name in ("others_of_a_test.experiment", "others_of_a_test"):
        sys.modules.pop(name, None)


def test_a_schema_that_cannot_be_pickled_is_composed_all_the_same() -> None:
    @dataclass(kw_only=True)
    class Local(PriorConfig):
        mine: int = 3

    ConfigStore.instance().store(group="prior", name="local", node=Local, package="prior")
    try:
        assert compose_config(["prior=local"]).prior.mine == 3
    finally:
        del ConfigStore.instance().repo["prior"]["local.yaml"]


def test_what_is_kept_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition, "LIMIT", 2)
    for preset in ("tiny", "preview", "instant", "standard"):
        load_config([f"preset={preset}"])
    assert len(composition._TREES) <= 2 and len(composition._LISTS) <= 2


@pytest.mark.parametrize(
    "overrides", [*CHOICES, ["distill.weight=1", "input.prompt='on: é 1e5'", "seed=7"]], ids=" ".join
)
def test_plain_values_are_those_of_the_yaml(overrides: list[str]) -> None:
    """Also in type: a run folder is compared with what was written into it."""
    made = load_config(overrides)
    assert json.dumps(config.to_values(made)) == json.dumps(yaml.safe_load(config.to_yaml(made)))
