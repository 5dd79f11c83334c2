"""Files written aside and renamed: complete or absent, whatever happens in between."""

import os
import signal
import subprocess
import sys

import pytest

from nerf2mesh.utils.atomic_write import atomic_write, atomic_write_bytes, atomic_write_text


def test_writes_the_whole_file_and_leaves_no_part(tmp_path):
    path = atomic_write_bytes(tmp_path / "new" / "folder" / "data.bin", b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert [entry.name for entry in path.parent.iterdir()] == ["data.bin"]


def test_text_is_utf8_with_lines_as_given(tmp_path):
    assert atomic_write_text(tmp_path / "a.txt", "é\n").read_bytes() == "é\n".encode()


def test_part_is_named_after_the_file(tmp_path):
    with atomic_write(tmp_path / "mesh.glb") as part:
        part.write_bytes(b"")
        assert part == tmp_path / "mesh.glb.part"


def test_concurrent_writers_have_parts_of_their_own(tmp_path):
    with atomic_write(tmp_path / "cache.json", concurrent=True) as part:
        part.write_bytes(b"")
        assert part.name == f"cache.json.{os.getpid()}.part"


def test_an_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stopped"), atomic_write(path) as part:
        part.write_text("half")
        raise RuntimeError("stopped")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "data.txt"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("old")
    lines = (
        "import os, signal, sys",
        "from nerf2mesh.utils.atomic_write import atomic_write",
        "with atomic_write(sys.argv[1]) as part:",
        "    part.write_text('half')",
        "    os.kill(os.getpid(), signal.SIGKILL)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines), str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert atomic_write_text(path, "new").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.txt"]


def test_file_and_folder_are_flushed_around_the_rename(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def noted_replace(source, target):
        order.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    atomic_write_bytes(tmp_path / "data.bin", b"1")
    assert order == ["file", "rename", "folder"]
