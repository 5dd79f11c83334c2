"""Whatever the user gets wrong ends with one line that says what to do and exit code 2; what was written is kept.

The command runs on the real chain; the files of a small finished run are the witness.
"""

from __future__ import annotations

import hashlib
import io
import os
import resource
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nerf2mesh import cli
from tests.inputs.pictures import BAD, disc_on, write_bad
from tests.tiny_run import PLAIN, TINY

RED = (200, 40, 30)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "disc.png"
    disc_on((255, 255, 255), RED).save(path)
    return path


@pytest.fixture(scope="module")
def finished(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of the tiny preset."""
    folder = tmp_path_factory.mktemp("run") / "disc"
    done = _command(f"input.image={picture}", *TINY, f"output_dir={folder}")
    assert done.code == 0, done.stderr
    return folder


@dataclass
class Done:
    code: int
    stdout: str
    stderr: str


def _command(*arguments: str) -> Done:
    """The command in this process: only the first one pays for the imports."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["nerf2mesh", *arguments])
        patch.delenv("HYDRA_FULL_ERROR", raising=False)
        with pytest.raises(SystemExit) as left:
            cli.main()
    return Done(left.value.code or 0, out.getvalue(), err.getvalue())


def _refused(done: Done, *said: str) -> None:
    """Exit code 2, nothing but one error line at the end, and the words in it."""
    assert done.code == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    for words in said:
        assert words in line, line


def _state(folder: Path) -> dict[str, str]:
    """Hashes of what the run made; the notes of what was asked are written anew at each start."""
    notes = ("config.yaml", "overrides.yaml", "versions.json")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in notes
    }


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_finished_run_has_its_files(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"config.yaml", "versions.json", "metrics.jsonl", "previews", "checkpoints"} <= names
    assert {"mesh.glb", "report.html", "provenance.json"} <= names


def test_same_command_again_keeps_the_result(run_folder: Path, picture: Path) -> None:
    mesh = (run_folder / "mesh.glb").read_bytes()
    done = _command(f"input.image={picture}", *TINY, f"output_dir={run_folder}")
    assert done.code == 0, done.stderr
    assert (run_folder / "mesh.glb").read_bytes() == mesh


def test_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Under an older locale too, where names and messages are UTF-8 all the same."""
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    (tmp_path / "größe").mkdir()
    command = [sys.executable, "-m", "nerf2mesh.cli", "input.image=größe/nowhere.png", "input.prompt=茶"]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=120, cwd=tmp_path, env=environment
    )  # fmt: skip
    _refused(Done(done.returncode, done.stdout, done.stderr), *BAD["missing"], "größe")
    assert done.stderr.count("\n") == 1 and done.stdout == ""


FAST = ("text", "truncated", "bomb")
"""tests/inputs/test_picture.py has all kinds without the command."""


@pytest.mark.parametrize("kind", [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in BAD])
def test_bad_picture(kind: str, tmp_path: Path) -> None:
    done = _command(f"input.image={write_bad(kind, tmp_path)}", f"output_dir={tmp_path / 'run'}", *TINY)
    _refused(done, "input.image", *BAD[kind])
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_no_picture(tmp_path: Path) -> None:
    _refused(_command(*TINY, f"output_dir={tmp_path / 'run'}"), "add input.image=")


def test_other_configuration_in_the_same_folder(run_folder: Path, picture: Path) -> None:
    before = _state(run_folder)
    done = _command(f"input.image={picture}", *TINY, "optimize.lr_network=0.123", f"output_dir={run_folder}")
    _refused(done, "lr_network", "0.123", "output_dir")
    assert _state(run_folder) == before


@pytest.mark.parametrize("damage", ["cut short", "text", "empty"])
def test_corrupt_checkpoint(damage: str, run_folder: Path, picture: Path) -> None:
    for file in (run_folder / "checkpoints").iterdir():
        data = file.read_bytes()
        file.write_bytes({"cut short": data[: len(data) // 2], "text": b"not a checkpoint", "empty": b""}[damage])
    (run_folder / "mesh.glb").unlink()
    before = _state(run_folder)
    done = _command(f"input.image={picture}", *TINY, f"output_dir={run_folder}")
    _refused(done, "checkpoint")
    assert {name: digest for name, digest in _state(run_folder).items() if name in before} == before


@pytest.mark.parametrize("kind", ["missing", "text", "other shape"])
def test_weights(kind: str, picture: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = tmp_path / "weights.safetensors"
    if kind == "text":
        weights.write_text("not weights")
    elif kind == "other shape":
        save_file({"some.layer": torch.zeros(3, 3)}, weights)
    done = _command(f"input.image={picture}", *TINY, f"prior.weights={weights}", f"output_dir={tmp_path / 'run'}")
    _refused(done, "weights")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_where_there_is_none(picture: Path, tmp_path: Path) -> None:
    done = _command(f"input.image={picture}", *TINY, "device=cuda", f"output_dir={tmp_path / 'run'}")
    _refused(done, "device", "cpu")


def test_folder_that_cannot_be_written(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    _refused(_command(f"input.image={picture}", *TINY, f"output_dir={tmp_path / 'file' / 'run'}"), "output_dir")
    _refused(_command(f"input.image={picture}", *TINY, "output_dir=/proc/nerf2mesh"), "output_dir")
    assert (tmp_path / "file").read_text() == "in the way"


def test_full_disk_keeps_what_was_written(picture: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: the first larger file fails."""
    folder = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # Python ignores the signal, so that writing raises
    try:
        done = _command(f"input.image={picture}", *PLAIN, f"output_dir={folder}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _refused(done, "no space is left")
    assert (folder / "config.yaml").read_text()
    again = _command(f"input.image={picture}", *PLAIN, f"output_dir={folder}")
    assert again.code == 0, again.stderr
    assert (folder / "mesh.glb").is_file()
