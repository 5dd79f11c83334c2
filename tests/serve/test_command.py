"""nerf2mesh-serve: its options, its token, its door."""

from __future__ import annotations

import socket
import stat
import tempfile
from pathlib import Path

import pytest

from nerf2mesh.serve.command import TOKEN, main, token_of


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command moves the temporary files of its process; they are put back."""
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())


def test_no_token_on_this_machine_and_one_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert token_of(tmp_path, "127.0.0.1") is None and token_of(tmp_path, "::1") is None
    made = token_of(tmp_path, "0.0.0.0")
    assert made is not None and len(made) == 32 and token_of(tmp_path, "0.0.0.0") == made
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert token_of(tmp_path, "127.0.0.1") == made, "a folder that has one keeps it"
    monkeypatch.setenv(TOKEN, "x" * 20)
    assert token_of(tmp_path, "127.0.0.1") == "x" * 20
    assert token_of(tmp_path, "127.0.0.1") == made, "workers do not inherit it"


@pytest.mark.parametrize("text", ["", "short", "with a blank in it", "ümläut" * 4, "x" * 20 + "\n"])
def test_a_weak_token_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, text)
    with pytest.raises(ValueError, match=f"{TOKEN}: expected at least 16"):
        token_of(tmp_path, "127.0.0.1")


@pytest.mark.parametrize("data", [b"", b"\n", b"short\n", b"\xff" * 40])
def test_a_token_file_that_was_cut_short_opens_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(data)
    with pytest.raises(ValueError, match="token: expected at least 16 printable"):
        token_of(tmp_path, "0.0.0.0")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--body-mib", "0"], "body_mib: expected"),
        (["--workers", "0"], "workers: expected"),
        (["--job-s", "nan"], "job_s: expected"),
        (["--threads", "-1"], "--threads: expected 0 or more"),
        (["--port", "70000"], "--port: expected 0 to 65535, got 70000; "),
        (["--adapters", "none.here"], "--adapters: expected a folder, got none.here"),
        (["--presets", "tiny,demo"], "--presets: expected some of .*, got demo; "),
        (["--keyfile", "none.pem"], "--keyfile: expected --certfile beside it"),
        (["--certfile", "none.pem"], "--certfile, --keyfile: expected .*, got none.pem .No such file"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--host", "203.0.113.7"], "--host, --port: expected an address of this machine"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "x" * 20)
    with pytest.raises(ValueError, match=message):
        main([str(tmp_path / "served"), *options])


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"got 127.0.0.1 {port}"):
            main([str(tmp_path / "served"), "--port", str(port)])
