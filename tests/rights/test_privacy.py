"""Nothing that a run hands out names its user, its machine or a folder: every file is searched, and what it packs.

The name is planted wherever it could leak from: the home folder, the host, the paths of input, adapter and output, the
picture's EXIF. A name put in on purpose, as the stated author, is found by the same search.
"""

from __future__ import annotations

import base64
import platform
import re
import socket
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import nerf2mesh
from nerf2mesh import fit, load_config
from nerf2mesh.lora.train.style import train_style
from nerf2mesh.priors import PriorConfig
from nerf2mesh.report.loggers import _nameless
from nerf2mesh.run.settings import changes, shareable, shareable_yaml
from tests.lora.test_style import config, line, weights, write  # noqa: F401
from tests.rights.test_gate import adapter

NAME = "annaplanted"
STATED = "berthastated"
SMALL = ("preset=tiny", "mesh.smooth_radius=0.1", "optimize.steps=2", "report.quiet=true")
FORMATS = "mesh.formats=[glb,obj,usdz,ply]"


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and those that it packs: entries of zips, text and data URIs, compressed chunks of PNGs."""
    data = path.read_bytes()
    yield data
    yield str(path.name).encode()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) + name.encode() for name in archive.namelist())
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]+)", data):
        yield base64.b64decode(packed)
    for compressed in re.findall(rb"zTXt[^\0]+\0\0(.+?)IDAT", data, re.DOTALL):
        yield zlib.decompressobj().decompress(compressed)


def leaks(folder: Path, *words: str) -> list[str]:
    """Files below the folder in which a word is found, in any of these encodings."""
    wanted = [word.encode(code) for word in words for code in ("utf-8", "utf-16-le")]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files
    return [
        path.relative_to(folder).as_posix()
        for path in files
        if any(word in data for data in contents(path) for word in wanted)
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, on a machine of that name."""
    home = tmp_path / NAME
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", NAME)
    for module, name in ((platform, "node"), (socket, "gethostname")):
        monkeypatch.setattr(module, name, lambda: f"{NAME}-pc")
    return home


def picture(folder: Path) -> Path:
    """A JPEG of a dark disc whose EXIF names its maker, program and place."""
    from PIL import ImageDraw

    image = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(image).ellipse((20, 20, 76, 76), fill=(150, 40, 30))
    about = Image.Exif()
    about[0x013B], about[0x8298], about[0x010E] = NAME, f"(c) {NAME}", f"/home/{NAME}/x"
    path = folder / "pictures" / "cup.jpg"
    path.parent.mkdir()
    image.save(path, exif=about, comment=NAME.encode())
    assert NAME.encode() in path.read_bytes()
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nothing_in_a_run_names_the_user_the_machine_or_a_folder(home: Path) -> None:
    out = home / "run"
    stated = [*SMALL, FORMATS, "input.foreground_confidence=0", f"input.author={STATED}"]
    fit(picture(home), overrides=stated, output_dir=out)
    names = {path.name for path in out.iterdir()}
    assert {"mesh.glb", "mesh.obj", "mesh.usdz", "report.html", "ATTRIBUTION.md", "config.yaml", "cost.json"} <= names
    assert leaks(out, NAME, str(home.parent)) == []
    carriers = {"mesh.glb", "mesh.obj", "mesh.ply", "mesh.usdz", "ATTRIBUTION.md", "report.html", "config.yaml"}
    assert carriers <= set(leaks(out, STATED))


@pytest.mark.parametrize(
    "text", ["/home/a/b.png", "~/b.png", "../../a/b.png", "C:\\Users\\a\\b.png", "\\\\pc\\a\\b.png"]
)
def test_settings_lose_their_folders_and_the_run_is_still_the_same(text: str, tmp_path: Path) -> None:
    tree = {"input": {"image": text, "prompt": "a 1/2 cup, 3/4 full"}, "lora": {"adapters": [text, "c.safetensors"]}}
    found = shareable(tree)
    assert found["input"] == {"image": "b.png", "prompt": "a 1/2 cup, 3/4 full"}
    assert found["lora"]["adapters"] == ["b.png", "c.safetensors"] and shareable("outputs/x") == "outputs/x"
    given = load_config([f"input.image={tmp_path}/a/b.png", f"input.foreground_weights={tmp_path}/w.safetensors"])
    file = tmp_path / "config.yaml"
    file.write_text(shareable_yaml(given), encoding="utf-8")
    assert str(tmp_path) not in file.read_text("utf-8") and changes(file, given, "") == {}


def test_an_adapter_and_its_training_name_nobody(home: Path, weights: Path) -> None:  # noqa: F811
    data = write(home / "data", [line(home / "data", i, (200, 40, 30)) for i in range(3)])
    private = home / "tiny.safetensors"
    private.write_bytes(weights.read_bytes())
    more = {"steps": 2, "checkpoint_every": 1, "title": "ink"}
    path = train_style(config(data, private, home / "out", **more))
    assert path.is_file() and leaks(home / "out", NAME, str(home.parent)) == []
    assert PriorConfig(weights=str(private)).weights is not None


def test_a_refusal_inside_a_sweep_is_kept_without_folders(tmp_path: Path) -> None:
    from nerf2mesh.sweep.heartbeat import Heartbeat
    from nerf2mesh.sweep.queue import Queue
    from nerf2mesh.sweep.worker import _run

    def job(payload: dict, context: object) -> dict:
        raise ValueError(f"input.image: expected a file, got /home/{NAME}/cup.png; check the path")

    queue = Queue.create(tmp_path, {"a": {}})
    claim = queue.claim("worker-1")
    assert claim is not None
    _run(queue, claim, "worker-1", job, Heartbeat(tmp_path, "worker-1", 1.0))
    assert "cup.png" in queue.jobs["a"].why and leaks(tmp_path, NAME) == []


def test_the_search_finds_what_is_packed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.usdz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.txt", NAME * 50)
    (tmp_path / "b.html").write_text("data:x;base64," + base64.b64encode(NAME.encode()).decode())
    (tmp_path / "c.bin").write_bytes(NAME.encode("utf-16-le"))
    (tmp_path / "d.txt").write_text("nothing")
    assert leaks(tmp_path, NAME) == ["a.usdz", "b.html", "c.bin"]


def test_tensorboard_is_told_no_host(home: Path) -> None:
    with _nameless():
        assert socket.gethostname() == "host"
    assert socket.gethostname() == f"{NAME}-pc"
    assert adapter(home / "x.safetensors", "MIT").is_file()


def test_the_package_names_no_folder_of_the_machine_it_was_built_on() -> None:
    """All that goes into a wheel, native libraries included (bytecode, which it leaves out, names its source)."""
    package = Path(nerf2mesh.__file__).parent
    words = [str(folder).encode() + b"/" for folder in (package.parent, Path.home()) if folder != Path("/")]
    found = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and any(word in path.read_bytes() for word in words)
    ]
    assert found == []
