"""Many pictures in one command: a run for each, a bad one named, the others done, and nothing silently left out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from nerf2mesh import cli
from nerf2mesh.sweep import pictures
from nerf2mesh.sweep.worker import work
from nerf2mesh.utils.override_text import many_pictures, pictures_of
from tests.sweep.standin import Here, polls_often  # noqa: F401


class InProcess(Here):
    """One worker in this process, so that `fit` may be replaced."""

    def __init__(self, launch: object, folder: Path, workers: int, function: str) -> None:
        self.folder = folder

    def start(self, count: int) -> None:
        work(self.folder, pictures.fit_picture)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """The command with a `fit` that writes a mesh, and refuses a picture whose bytes are "bad"."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def fit(image: str, *, overrides: list[str], output_dir: Path) -> object:
        start.fitted.append((Path(image).name, overrides, output_dir))
        if Path(image).read_bytes() == b"bad":
            raise ValueError(f"input.image: expected a picture, got {Path(image).name}; save it again")
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / "mesh.glb").touch()
        return SimpleNamespace(warnings=[], failures=[])

    def start(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["nerf2mesh", *arguments])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code or 0

    start.fitted = []
    monkeypatch.setattr("nerf2mesh.api.fit", fit)
    monkeypatch.setattr(pictures, "make_launcher", InProcess)
    Path("cups").mkdir()
    for name in ("a.png", "b.jpg", "ä, c.png"):
        Path("cups", name).write_bytes(name.encode())
    return start


def test_a_folder_is_a_run_for_each_picture(run: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    Path("cups/notes.txt").touch()
    assert run("input.image=cups", "preset=tiny", "seed=3") == 0
    root = Path.cwd() / "outputs/cups-tiny"
    assert {name: folder for name, _, folder in run.fitted} == {
        "a.png": root / "a", "b.jpg": root / "b", "ä, c.png": root / "ä, c"
    }  # fmt: skip
    assert all(overrides[1:] == ["preset=tiny", "seed=3"] for _, overrides, _ in run.fitted)
    assert capsys.readouterr().out.count("mesh.glb") == 3
    assert run("cups", "preset=tiny", "seed=3") == 0 and len(run.fitted) == 3, "what is done is not made again"
    (root / "a/mesh.glb").unlink()
    assert run("cups/", "preset=tiny", "seed=3") == 0 and [name for name, *_ in run.fitted[3:]] == ["a.png"]


def test_a_bad_picture_stops_no_other_and_is_named(run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    Path("cups/b.jpg").write_bytes(b"bad")
    assert run("glob(cups/*)", "output_dir=o") == 2
    shown = capfd.readouterr()
    assert sorted(path.parent.name for path in Path("o").glob("*/mesh.glb")) == ["a", "ä, c"]
    (line,) = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert "1 of 3 that cannot: b.jpg (input.image: expected a picture, got b.jpg; save it again)" in line
    Path("cups/b.jpg").write_bytes(b"mended")
    assert run("glob(cups/*)", "output_dir=o") == 0
    assert [name for name, *_ in run.fitted].count("b.jpg") == 2 and len(run.fitted) == 4


@pytest.mark.parametrize("asked", ["input.image=none", "glob(cups/*.gif)"])
def test_no_picture_is_an_error(asked: str, run: Callable[..., int], capfd: pytest.CaptureFixture) -> None:
    Path("none").mkdir()
    assert run(asked) == 2 and "error: input.image: expected pictures, got" in capfd.readouterr().err
    assert run.fitted == [] and not Path("outputs").exists()


def test_a_wrong_setting_is_refused_before_anything_starts(run: Callable[..., int]) -> None:
    assert run("cups", "presett=tiny") == 2 and run("cups", "launch.workers=0") == 2
    assert run.fitted == [] and not Path("outputs").exists()


def test_which_commands_are_meant(run: Callable[..., int]) -> None:
    one, both = "cups/a.png", ["cups/a.png", "cups/b.jpg"]
    assert many_pictures([one, "seed=1"]) is None and many_pictures([f"input.image={one}"]) is None
    assert pictures_of(many_pictures([*both, "seed=1"]) or []) == both
    assert pictures_of(many_pictures([one, "input.image=cups"]) or []) == [*both, "cups/ä, c.png"]
    for other in (["-m", "cups"], ["cups", "input=photos"], ["--cfg", "job", "input.image=cups"]):
        assert many_pictures(other) is None


def test_folders_of_pictures_of_one_name() -> None:
    names = ["x/a.png", "x/a.jpg", "y/a.png", "x/b.png", "y/.b.webp"]
    assert pictures.folder_names(names) == ["x-a.png", "a.jpg", "y-a.png", "b.png", "b.webp"]


def test_a_map_belongs_to_one_picture(tmp_path: Path) -> None:
    launch = SimpleNamespace(workers=1, wait=True)
    with pytest.raises(ValueError, match=r"^input\.depth: expected one picture beside a map, got 2; "):
        pictures.fit_pictures(["a.png", "b.png"], ["input.depth=z.png"], tmp_path, launch)
    assert list(tmp_path.iterdir()) == []
