"""YAML of others: settings are taken, code and the environment are not, in all four commands and in a sweep's jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nerf2mesh import cli
from nerf2mesh.config import load_config
from nerf2mesh.utils.foreign_yaml import ALLOW, check_overrides, taken_from

GLOBAL = "# @package _global_\n"
CALLBACK = "{_target_: pathlib.Path.touch, self: ran}"
REFUSED = {
    "hydra under its own name": (GLOBAL + "hydra: {job: {name: x}}", "hydra.job.name"),
    "hydra by the package": ("# @package hydra.job\nname: x", "hydra.job.name"),
    "hydra by a package in brackets": ("# @package hydra[job]\nname: x", "hydra.job.name"),
    "hydra by the defaults": (GLOBAL + "defaults:\n  - plain@_global_.hydra.job\n", "hydra.job"),
    "hydra's groups": (GLOBAL + "defaults:\n  - override /hydra/launcher: basic\n", "hydra.launcher"),
    "a target": (GLOBAL + f"input: {CALLBACK}", "pathlib.Path.touch"),
    "a target that is no text": (GLOBAL + "input: {_target_: [a]}", "_target_"),
    "a target by an alias": (GLOBAL + "seed: &x os.abort\ninput: {_target_: *x}", "os.abort"),
    "an environment variable": (GLOBAL + "input: {prompt: 'a ${oc.env:HOME} b'}", "oc.env"),
    "another resolver": (GLOBAL + "seed: ${oc.decode:'7'}", "oc.decode"),
    "the time": (GLOBAL + "input: {prompt: '${now:%Y}'}", "now"),
    "a resolver in a resolver": (GLOBAL + "input: {prompt: '${oc.env:A,${oc.env:B}}'}", "oc.env"),
    "a resolver with a name of parts": (GLOBAL + "input: {prompt: '${oc.${seed}:HOME}'}", "a resolver"),
    "a resolver in a key": (GLOBAL + "input: {'${oc.env:HOME}': 1}", "oc.env"),
}


def mine(folder: Path, text: str, name: str = "mine") -> list[str]:
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment/plain.yaml").write_text("name: x\n", encoding="utf-8")
    (folder / f"experiment/{name}.yaml").write_text(text + "\n", encoding="utf-8")
    return [f"hydra.searchpath=[file://{folder}]", f"experiment={name}"]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_acts_is_refused_by_file_and_name(kind: str, tmp_path: Path) -> None:
    text, name = REFUSED[kind]
    with pytest.raises(ValueError, match=r"mine\.yaml: expected settings of nerf2mesh only, got") as refused:
        load_config(mine(tmp_path, text))
    assert "\n" not in str(refused.value) and f"--allow {name}" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["a: [1", "a: \x07", "!!python/object/apply:os.abort []", "[" * 3000, "a: " + "[" * 60 + "]" * 60]
)
def test_damaged_yaml_is_one_line_that_names_the_file(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.yaml: expected ") as refused:
        load_config(mine(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_aliases_that_multiply_are_refused_before_they_do(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(ValueError, match=r"mine\.yaml: expected at most 100000 values"):
        load_config(mine(tmp_path, GLOBAL + "\n".join(lines)))
    with pytest.raises(ValueError, match=r"mine\.yaml: expected at most 100000 values"):
        load_config(mine(tmp_path, GLOBAL + "a: &a [*a]"))


def test_settings_references_and_the_packages_own_groups_are_taken(tmp_path: Path) -> None:
    text = GLOBAL + "defaults:\n  - override /preset: tiny\nseed: 7\ninput: {prompt: '${seed} \\cups ${device}'}"
    config = load_config(mine(tmp_path, text))
    assert config.seed == 7 and config.input.prompt == "7 \\cups auto"
    assert config.mesh == load_config(["preset=tiny"]).mesh


def test_what_the_user_types_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPS", "three cups")
    assert load_config(["input.prompt=${oc.env:CUPS}"]).input.prompt == "three cups"
    assert load_config(["hydra.job.name=x", "hydra/launcher=basic"]) == load_config()


def test_names_that_are_allowed_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPS", "three cups")
    monkeypatch.setenv(ALLOW, "now, oc.env,hydra.job")
    assert load_config(mine(tmp_path, REFUSED["hydra by the package"][0])) == load_config()
    assert load_config(mine(tmp_path, GLOBAL + "input: {prompt: '${oc.env:CUPS}'}")).input.prompt == "three cups"
    with pytest.raises(ValueError, match=r"--allow oc\.decode"):
        load_config(mine(tmp_path, REFUSED["another resolver"][0]))


def test_allow_is_taken_off_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "")
    assert taken_from(["a=1", "--allow", "oc.env", "-m", "--allow=now,x.Y"]) == ["a=1", "-m"]
    assert os.environ[ALLOW] == "oc.env,now,x.Y"
    for wrong in (["--allow"], ["--allow", "-m"], ["--allow="]):
        with pytest.raises(ValueError, match="--allow: expected names"):
            taken_from(wrong)


@pytest.mark.parametrize("flag", ["--experimental-rerun=x.pickle", "--experimental-rerun", "--exp", "--e=x"])
def test_pickles_are_not_run_again(flag: str) -> None:
    with pytest.raises(ValueError, match="--experimental-rerun: expected settings, got a pickle"):
        taken_from(["seed=1", flag, "x.pickle"])


@pytest.mark.parametrize(
    "override",
    [
        "hydra.run.dir=x",
        "+hydra.callbacks.a.b=c",
        "hydra/launcher=joblib",
        "input.prompt=${oc.env:HOME}",
        "+x._target_=a",
    ],
)
def test_overrides_of_a_received_sweep_only_set_values(override: str) -> None:
    with pytest.raises(ValueError, match=r"jobs\.json: expected settings of nerf2mesh only"):
        check_overrides([override], "jobs.json")
    check_overrides(["hydra.searchpath=[file:///x]", "input.prompt=a ${seed}", "seed=1", "lora=[a]"], "jobs.json")


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A whole folder as a stranger would send it: the primary config itself is theirs."""
    text = f"hydra:\n  run: {{dir: .}}\n  output_subdir: null\n  callbacks:\n    x: {CALLBACK}\n"
    (tmp_path / "evil.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "entry", [cli.main, cli.bench, cli.train_prior, cli.train_lora, cli.train_foreground, cli.train_viewpoint]
)
def test_no_command_runs_what_a_folder_of_configs_names(
    entry: Callable[[], None], evil: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(evil)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr("sys.argv", ["command", "--config-path", str(evil), "--config-name", "evil"])
    with pytest.raises(SystemExit) as done:
        entry()
    assert done.value.code == 2 and "evil.yaml: expected settings of nerf2mesh only" in capfd.readouterr().err
    assert [path.name for path in evil.iterdir()] == ["evil.yaml"]


def test_modules_beside_the_configs_are_not_imported(evil: Path) -> None:
    (evil / "omegaconf.py").write_text("open('imported', 'w')", encoding="utf-8")
    (evil / "trimesh.py").write_text("open('imported', 'w')", encoding="utf-8")
    code = "import sys; sys.path.pop(0); from nerf2mesh.cli import main; main()"
    command = [sys.executable, "-c", code, "--config-path", str(evil), "--config-name", "evil"]
    done = subprocess.run(command, cwd=evil, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "evil.yaml: expected settings of nerf2mesh only" in done.stderr
    assert sorted(path.name for path in evil.iterdir()) == ["evil.yaml", "omegaconf.py", "trimesh.py"]
