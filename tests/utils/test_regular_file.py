"""Files that strangers made: links, FIFOs, folders, sizes and damage end in one line that names the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nerf2mesh.utils.atomic_write import append_text, atomic_write, atomic_write_text, create_new
from nerf2mesh.utils.locks import InUse, alone_in
from nerf2mesh.utils.regular_file import is_regular, read_json, read_regular, read_yaml
from nerf2mesh.utils.scratch import scratch, scratch_in

KINDS: dict[str, Callable[[Path], object]] = {
    "a link": lambda path: path.symlink_to("/etc/hostname"),
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_read_and_none_hangs(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    KINDS[kind](path)
    assert not is_regular(path)
    for read in (read_regular, read_yaml, lambda p: read_json(p, {}), lambda p: append_text(p, "x")):
        with pytest.raises(ValueError, match=rf"metrics\.json: expected a regular file, got {kind}"):
            read(path)


def test_sizes_are_limited(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", limit_bytes=5) == b"12345"
    with pytest.raises(ValueError, match=r"a: expected at most 4 bytes, got 5"):
        read_regular(tmp_path / "a", limit_bytes=4)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\xff", "1" * 5000, '{"a": 1} x', ""])
def test_damaged_json_is_one_line_with_the_files_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mesh.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"mesh\.json: expected JSON") as refused:
        read_json(path, {})
    assert "\n" not in str(refused.value)


def test_json_of_another_kind_is_refused_and_a_missing_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json: expected an object {...} of JSON, got list"):
        read_json(tmp_path / "a.json", {})
    assert read_json(tmp_path / "none.json", {"x": 1}) == {"x": 1}


@pytest.mark.parametrize("text", ["a: [1", "a: &x 1\nb: *x", "[" * 3000, "!!python/object:os.system {}", "a: \x07"])
def test_damaged_yaml_is_one_line_with_the_files_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.yaml: expected YAML") as refused:
        read_yaml(path)
    assert "\n" not in str(refused.value)


def test_links_under_a_files_name_or_its_part_are_replaced_and_never_followed(tmp_path: Path) -> None:
    mine, run = tmp_path / "mine.txt", tmp_path / "run"
    mine.write_text("mine", encoding="utf-8")
    run.mkdir()
    for name in ("a.json", "a.json.part"):
        (run / name).symlink_to(mine)
    atomic_write_text(run / "a.json", "new")
    (run / "b.json.part").symlink_to(mine)
    with atomic_write(run / "b.json") as part:
        part.write_text("new", encoding="utf-8")
    (run / "c.json.part").hardlink_to(mine)
    atomic_write_text(run / "c.json", "new")
    (run / "d").symlink_to(mine)
    with pytest.raises(FileExistsError):
        create_new(run / "d")
    assert mine.read_text("utf-8") == "mine"
    assert [is_regular(run / f"{name}.json") for name in "abc"] == [True] * 3
    assert (run / "a.json").read_text("utf-8") == "new"


def test_lines_are_added_to_a_file_of_its_own_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (tmp_path / "second").hardlink_to(tmp_path / "mine")
    with pytest.raises(ValueError, match="second name"):
        append_text(tmp_path / "second", "x")
    append_text(tmp_path / "curve", "1\n")
    append_text(tmp_path / "curve", "2\n")
    assert (tmp_path / "curve").read_text("utf-8") == "1\n2\n"


def test_the_lock_is_never_a_users_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine", encoding="utf-8")
    for number, plant in enumerate((os.symlink, os.link)):
        folder = tmp_path / str(number)
        folder.mkdir()
        plant(mine, folder / ".lock")
        with pytest.raises(ValueError, match=r"\.lock: expected a regular file"), alone_in(folder):
            pass
    assert mine.read_text("utf-8") == "mine"


def test_a_lock_that_cannot_be_written_still_locks(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch(0o444)
    with alone_in(tmp_path), pytest.raises(InUse), alone_in(tmp_path):
        pass


def test_scratch_lies_in_the_run_folder_and_goes_with_it(tmp_path: Path) -> None:
    with scratch_in(tmp_path), scratch("n2m_") as folder:
        assert Path(folder).parent == tmp_path.resolve() / ".scratch"
    assert not list(tmp_path.iterdir())
    with scratch_in(None), scratch("n2m_") as folder:
        assert tmp_path not in Path(folder).parents
