"""nerf2mesh-view: a run folder or a mesh in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from nerf2mesh import __version__
from nerf2mesh.utils.argument_parser import ArgumentParser


def main(arguments: Sequence[str]) -> None:
    """Serves what is named until it is stopped. ValueError in one line for what the user can put right."""
    parser = ArgumentParser("nerf2mesh-view", description=__doc__)
    parser.add_argument("path", type=Path, help="a run folder, or a .glb file")
    parser.add_argument("--host", default="127.0.0.1", help="others than this machine's own need the printed token")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
    parser.add_argument("--version", action="version", version=f"nerf2mesh {__version__}")
    asked = parser.parse_args(arguments)
    if find_spec("viser") is None:
        raise ValueError("nerf2mesh-view: expected the package viser, got none; pip install 'nerf2mesh[viewer]'")
    from nerf2mesh.view.afterwards import open_viewer, wait_until_closed

    wait_until_closed(open_viewer(asked.path, host=asked.host, port=asked.port))
