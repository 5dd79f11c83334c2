"""nerf2mesh-serve: pictures come in by HTTP, meshes go out."""

from __future__ import annotations

import argparse
import dataclasses
import os
import secrets
import socket
import ssl
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from nerf2mesh import __version__
from nerf2mesh.run.preemption import Preempted
from nerf2mesh.serve.limits import Limits
from nerf2mesh.utils.argument_parser import ArgumentParser
from nerf2mesh.utils.atomic_write import create_new
from nerf2mesh.utils.locks import alone_in
from nerf2mesh.utils.regular_file import read_regular
from nerf2mesh.view.guard import LOOPBACK

TOKEN = "N2M_SERVE_TOKEN"
SHORTEST_TOKEN = 16
EPILOG = f"The token is taken from the variable {TOKEN}, or from FOLDER/token, which is made on first need."


def main(arguments: Sequence[str]) -> None:
    """Serves until it is stopped. ValueError in one line for what the user can put right."""
    asked = _parser().parse_args(arguments)
    missing = [name for name in ("fastapi", "uvicorn", "multipart", "fastapi_offline") if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"nerf2mesh-serve: expected the package {missing[0]}, got none; pip install 'nerf2mesh[serve]'"
        )
    limits = Limits(**{item.name: getattr(asked, item.name) for item in dataclasses.fields(Limits)})
    folder: Path = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone_in(folder):
        token = token_of(folder, asked.host)
        _keep_inside(folder)
        try:
            _serve(asked, folder, limits, token)
        except (Preempted, KeyboardInterrupt):  # uvicorn passes on the signal that ended it
            print("nerf2mesh-serve: stopped; the same command goes on with the jobs that are left")


def token_of(folder: Path, host: str) -> str | None:
    """The token that requests must bring; None on this machine's own addresses where the user set none."""
    given = os.environ.pop(TOKEN, None)
    if given is not None:
        return _strong(TOKEN, given)
    path = folder / "token"
    if host in LOOPBACK and not os.path.lexists(path):
        return None
    if not os.path.lexists(path):
        with open(create_new(path), "w", encoding="utf-8") as file:
            os.chmod(path, 0o600)
            file.write(secrets.token_hex(SHORTEST_TOKEN) + "\n")
    return _strong(str(path), read_regular(path, limit_bytes=4096).decode("utf-8", "replace").strip())


def _strong(name: str, token: str) -> str:
    """The token. ValueError where it is too short or does not fit into a header."""
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"{name}: expected at least {SHORTEST_TOKEN} printable ASCII characters without blanks, got another "
            "text; python -c 'import secrets; print(secrets.token_hex(16))' makes one"
        )
    return token


def _serve(asked: argparse.Namespace, folder: Path, limits: Limits, token: str | None) -> None:
    import uvicorn

    from nerf2mesh.config import load_config
    from nerf2mesh.serve.allowed import PRESETS, known_presets
    from nerf2mesh.serve.app import create_app
    from nerf2mesh.serve.asked import Asker
    from nerf2mesh.serve.crew import Crew
    from nerf2mesh.serve.store import Store

    _check(asked)
    load_config(asked.set)
    presets = PRESETS if asked.presets is None else known_presets(asked.presets)
    with _bound(asked.host, asked.port) as door:
        store = Store(folder, limits)
        threads = asked.threads or max(1, (os.cpu_count() or 1) // limits.workers)
        adapters = asked.adapters.resolve() if asked.adapters else None
        asker = Asker(limits.megapixels, presets, adapters, tuple(asked.set))
        app = create_app(store, Crew(store, threads=threads), asker, token)
        scheme, port = "https" if asked.certfile else "http", door.getsockname()[1]
        shown = f"[{asked.host}]" if ":" in asked.host else asked.host
        print(f"nerf2mesh-serve: {scheme}://{shown}:{port}/docs", flush=True)
        where = f"the variable {TOKEN} or {folder / 'token'}" if token else "no token asked for"
        print(f"  jobs in {folder}, {limits.workers} at once; token: {where}", flush=True)
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            http="h11",
            ws="none",
            limit_concurrency=64 + limits.streams,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=1 << 15,
            ssl_certfile=asked.certfile,
            ssl_keyfile=asked.keyfile,
        )
        uvicorn.Server(config).run(sockets=[door])


def _check(asked: argparse.Namespace) -> None:
    """ValueError in one line for options that cannot be."""
    if asked.threads < 0:
        raise ValueError(f"--threads: expected 0 or more, got {asked.threads}; leave it out for a share of the cores")
    if not 0 <= asked.port < 1 << 16:  # the C library would take it modulo 65536
        raise ValueError(f"--port: expected 0 to 65535, got {asked.port}; choose another")
    if asked.adapters and not asked.adapters.is_dir():
        raise ValueError(f"--adapters: expected a folder, got {asked.adapters}, which is none; correct it")
    if asked.keyfile and not asked.certfile:
        raise ValueError("--keyfile: expected --certfile beside it, got none; name the certificate too")
    if asked.certfile:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(asked.certfile, asked.keyfile)
        except OSError as error:
            raise ValueError(
                f"--certfile, --keyfile: expected a certificate and its key as PEM files, got {asked.certfile} "
                f"({error.strerror}); correct them"
            ) from error


def _bound(host: str, port: int) -> socket.socket:
    """The open door. ValueError where the address cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.socket(family, kind)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
    except OSError as error:
        raise ValueError(
            f"--host, --port: expected an address of this machine that is free, got {host} {port} "
            f"({error.strerror}); choose another"
        ) from error
    return door


def _keep_inside(folder: Path) -> None:
    """Temporary files of this process and of its workers lie in the server's own folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")


def _parser() -> ArgumentParser:
    parser = ArgumentParser("nerf2mesh-serve", description=__doc__, epilog=EPILOG)
    parser.add_argument("folder", type=Path, help="where jobs and results are kept; the same folder goes on")
    parser.add_argument("--host", default="127.0.0.1", help="another address than this machine's own needs a token")
    parser.add_argument("--port", type=int, default=8088, help="0: any free one")
    parser.add_argument("--threads", type=int, default=0, help="of each job; 0: the cores shared among the jobs")
    parser.add_argument("--presets", help="those that may be asked for, with commas; all if left out")
    parser.add_argument("--adapters", type=Path, help="a folder of .safetensors files that may be asked for by name")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of every job")
    parser.add_argument("--certfile", help="TLS: the certificate's file")
    parser.add_argument("--keyfile", help="TLS: the key's file")
    parser.add_argument("--version", action="version", version=f"nerf2mesh {__version__}")
    for item in dataclasses.fields(Limits):
        name = f"--{item.name.replace('_', '-')}"
        parser.add_argument(
            name, type=type(item.default), default=item.default, help=f"{LIMIT_WORDS[item.name]} ({item.default})"
        )
    return parser


LIMIT_WORDS = {
    "body_mib": "largest request, MiB",
    "body_s": "a request has to arrive within so many seconds",
    "megapixels": "largest picture",
    "job_s": "a job may run for so many seconds",
    "workers": "jobs that run at once",
    "queue": "jobs that may wait or run",
    "disk_gib": "largest size of FOLDER, GiB",
    "free_gib": "free space that is left alone, GiB",
    "streams": "listeners to progress at once",
}
