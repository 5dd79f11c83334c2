"""The command line: what it hands on, what it prints, and its exit codes. `fit` itself is replaced here."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import nerf2mesh
from nerf2mesh import Config, cli


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command in a folder of its own; `run.calls` are the arguments of fit, `run.error` is what it raises."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def fit(config: Config, **arguments: object) -> object:
        start.calls.append({"config": config, **arguments})
        if start.error is not None:
            raise start.error
        return SimpleNamespace(config=config, failures=[])

    def start(*arguments: str, entry: Callable[[], None] = cli.main) -> int:
        monkeypatch.setattr(sys, "argv", ["nerf2mesh", *arguments])
        with pytest.raises(SystemExit) as done:
            entry()
        return done.value.code or 0

    start.calls, start.error = [], None
    monkeypatch.setattr("nerf2mesh.run.fit_command.run_fit", fit)
    return start


def test_configuration_and_folder_are_handed_on(run: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    assert run("input.image=pictures/cup.png", "preset=preview", "seed=3") == 0
    (call,) = run.calls
    assert call["config"].seed == 3 and call["config"].input.image == "pictures/cup.png"
    assert Path(call["config"].output_dir) == Path("outputs/cup-preview")
    assert call["overrides"] == ["input.image=pictures/cup.png", "preset=preview", "seed=3"]
    assert capsys.readouterr().out.startswith("done")
    assert list(Path.cwd().iterdir()) == []  # Hydra itself writes nothing


def test_given_folder_is_kept(run: Callable[..., int]) -> None:
    assert run("input.image=cup.png", "output_dir=some/where") == 0
    assert run.calls[0]["config"].output_dir == "some/where"


@pytest.mark.parametrize("name", ["cup (1), a=b.png", 'two "words".png', "it's {odd}.png", "plain-1.0_a.png"])
def test_existing_file_may_have_any_name(name: str, run: Callable[..., int]) -> None:
    Path(name).touch()
    assert run(f"input.image={name}") == 0
    assert run.calls[0]["config"].input.image == name


def test_sweep_has_a_folder_for_each_job(run: Callable[..., int]) -> None:
    assert run("-m", "input.image=cup.png", "seed=0,1") == 0
    folders = [Path(call["config"].output_dir) for call in run.calls]
    assert [call["config"].seed for call in run.calls] == [0, 1]
    assert len(set(folders)) == 2 and folders[0].parent == folders[1].parent


ERRORS = {
    "value": (ValueError("input.image: wrong\n  do this"), "input.image: wrong do this"),
    "read-only": (OSError(errno.EROFS, "Read-only file system", "runs/a"), "lies on a read-only file system"),
    "forbidden": (PermissionError(errno.EACCES, "Permission denied", "/"), "although its rights allow it"),
    "full": (OSError(errno.ENOSPC, "No space left on device", "runs/a"), "same command again: it resumes"),
    "full, said by torch": (
        RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"),
        "resumes",
    ),
    "a file as folder": (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a.txt/b"), "check the path"),
    "package": (ModuleNotFoundError("No module named 'nerfacc'", name="nerfacc"), "pip install nerfacc"),
    "package of another name": (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "opencv-python-headless"),
    "memory": (MemoryError(), "out of memory"),
}


def assert_one_line(captured: object, expected: str) -> None:
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: ") and expected in captured.err


def test_a_user_error_passes_hydra(run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    run.error, expected = ERRORS["value"]
    assert run("input.image=cup.png") == 2
    assert_one_line(capfd.readouterr(), expected)


@pytest.mark.parametrize("kind", ERRORS)
def test_user_errors_are_one_line_and_exit_code_2(kind: str, capfd: pytest.CaptureFixture) -> None:
    error, expected = ERRORS[kind]

    def work() -> None:
        raise error

    assert cli._guarded(work) == 2
    assert_one_line(capfd.readouterr(), expected)


def test_our_own_mistakes_keep_their_traceback(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    run.error = RuntimeError("a bug")
    monkeypatch.setattr(sys, "argv", ["nerf2mesh", "input.image=cup.png"])
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


def test_traceback_on_demand(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    run.error = ValueError("wrong")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["nerf2mesh", "input.image=cup.png"])
    with pytest.raises(ValueError, match="wrong"):
        cli.main()


def test_interrupt_says_how_to_go_on(run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    run.error = KeyboardInterrupt()
    assert run("input.image=cup.png") == 130
    assert "goes on from the last checkpoint" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("inptu.image=x", "did you mean input.image"),
        ("preset=ultra", "expected one of demo, high, instant, preview, standard, tiny"),
        ("nogroup=x", "no such setting"),
        ("seed=-1", "seed: expected an integer of 0 to"),
        ("seed=a=b", "quote special characters"),
    ],
)
def test_wrong_overrides(override: str, said: str, run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    assert run(override) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and said in captured.err
    assert run.calls == []


def test_help_names_every_preset(run: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    presets = "preset: demo, high, instant, preview, standard, tiny"
    for part in ("nerf2mesh input.image=PICTURE", presets, "elevation_deg:", "resumes"):
        assert part in text
    shown = re.search(r"\[preset=([\w|]+)\]", text)
    files = {path.stem for path in (Path(__file__).parents[1] / "configs/preset").glob("*.yaml")}
    assert shown is not None and set(shown[1].split("|")) == files


def test_configuration_is_shown(run: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    assert run("--cfg", "job", "preset=preview") == 0
    assert "output_dir: null" in capsys.readouterr().out


@pytest.mark.slow
def test_training_command_has_help(run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    assert run("--help", entry=cli.train_prior) == 0
    assert "nerf2mesh-train-prior" in capfd.readouterr().out


def test_training_command_checks_its_values(run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    assert run("minutes=soon", entry=cli.train_prior) == 2
    assert "expected a number from 0 to 10,000,000" in capfd.readouterr().err


def test_bench_command_names_the_benchmarks(run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    assert run("nothing", entry=cli.bench) == 2
    assert "expected one of sampled_views" in capfd.readouterr().err


def test_the_benchmarks_are_those_of_the_checkout_wherever_one_stands(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__main__.py").write_text("raise SystemExit('a stranger ran')", encoding="utf-8")
    code = "import sys; sys.argv = ['nerf2mesh-bench', 'nothing']; from nerf2mesh.cli import bench; bench()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "benchmark: expected one of sampled_views" in done.stderr


def test_a_picture_alone_is_enough(run: Callable[..., int]) -> None:
    assert run("cup.png", "preset=tiny") == 0
    assert run.calls[0]["config"].input.image == "cup.png"
    assert Path(run.calls[0]["config"].output_dir) == Path("outputs/cup-tiny")


@pytest.mark.parametrize(
    "entry",
    [
        cli.main,
        cli.train_prior,
        cli.train_lora,
        cli.curate,
        cli.train_foreground,
        cli.train_viewpoint,
        cli.train_normals,
        cli.bench,
    ],
)
def test_version(entry: Callable[[], None], run: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    assert run("--version", entry=entry) == 0
    assert capsys.readouterr().out == f"nerf2mesh {nerf2mesh.__version__}\n"


@pytest.mark.slow
def test_names_mean_the_same_under_an_older_locale(tmp_path: Path) -> None:
    (tmp_path / "größe").mkdir()
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "nerf2mesh.cli", "input.image=größe", "input.prompt=茶", "preset=tiny"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert "größe" in done.stderr.decode("utf-8")


def test_a_strangers_words_do_not_command_the_terminal(run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    run.error = ValueError("data: expected JSON, got \x1b[2Jü\x07\u202e; correct it")
    assert run("input.image=cup.png", "preset=tiny") == 2
    assert capfd.readouterr().err == "error: data: expected JSON, got \\x1b[2Jü\\x07\\u202e; correct it\n"
