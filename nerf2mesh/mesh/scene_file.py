"""Loads a mesh file that may be a stranger's with trimesh: what it names lies in its folder, what it asks for fits.

trimesh reads the bytes; this module says which. A material or a texture is a regular file inside the mesh's folder, of
a bounded size; one that is not is left out with a warning. Sizes that a glTF's header claims are added up before any
array is made of them, and its nodes are walked before the scene is built: a circle in them would never end.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from nerf2mesh.utils.names import inside, printable
from nerf2mesh.utils.regular_file import read_regular

MAX_BYTES = 2**30
"""Of a mesh file, of each file that it names, and of all that a glTF's accessors unfold to."""
MAX_FACES = 20_000_000
"""Of all parts together, each counted as often as the scene shows it."""
_COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


class Beside:
    """Files beside a mesh, in the form that trimesh asks for (a resolver)."""

    def __init__(self, path: Path) -> None:
        self.path, self.file_name = path, path.name
        self.left_out: dict[str, str] = {}

    def get(self, key: str) -> bytes:
        """The bytes of the file of that name; what cannot be had is noted in `left_out`."""
        try:
            return read_regular(self._inside(key), limit_bytes=MAX_BYTES, follow=True)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.left_out[str(key)[:80]] = f"{why or error}".split("; ")[0]
            raise

    __getitem__ = get

    def _inside(self, key: str) -> Path:
        name = str(key).replace("\\", "/").strip()
        plain = inside(self.path.parent, name, "file")
        return plain if plain.exists() else inside(self.path.parent, unquote(name), "file")

    def __contains__(self, key: str) -> bool:
        return False

    def keys(self) -> list[str]:
        """None: trimesh only looks for other names in archives."""
        return []

    def namespaced(self, namespace: str) -> Beside:
        """For the part of a scene in a folder below."""
        return Beside(inside(self.path.parent, namespace, "folder") / self.path.name)

    def write(self, name: str, data: object) -> None:
        """Reading writes nothing."""
        raise ValueError("file: expected to be read only, got something to write; save the mesh elsewhere")


def load_scene(path: Path) -> Any:
    """What trimesh makes of the file: a Trimesh, a Scene, or something without triangles.

    Raises:
        ValueError: what the readers make of damaged bytes, of whatever type, with the file's name.
        OSError: the file cannot be read.
    """
    import trimesh

    data, beside = read_regular(path, limit_bytes=MAX_BYTES, follow=True), Beside(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind in ("glb", "gltf"):
        _check_gltf(data)
    resolver: Any = beside
    with warnings.catch_warnings(), _silent("trimesh"):
        warnings.simplefilter("ignore")  # numpy's and Pillow's, about bytes that are judged here
        scene = trimesh.load(io.BytesIO(data), file_type=kind, resolver=resolver, process=False)
    for name, why in beside.left_out.items():
        shown = name if name.isprintable() else ascii(name)
        warnings.warn(f"{path}: left out {shown}, which the mesh names: {why}", stacklevel=4)
    _check_scene(scene)
    return scene


def shapes_in(scene: Any) -> list[tuple[Any, np.ndarray]]:
    """The meshes of what `load_scene` returns, each as often as it is shown, with its place in the scene [4, 4]."""
    import trimesh

    placed = [(scene, np.eye(4))]
    if isinstance(scene, trimesh.Scene):
        nodes = (scene.graph[name] for name in scene.graph.nodes_geometry)
        placed = [(scene.geometry[geometry], np.asarray(transform)) for transform, geometry in nodes]
    return [(shape, transform) for shape, transform in placed if isinstance(shape, trimesh.Trimesh)]


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Inside, the loggers of that name print nothing: trimesh logs tracebacks of what it then does another way."""
    log, nothing = logging.getLogger(name), logging.NullHandler()
    before = log.propagate
    log.addHandler(nothing)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = before
        log.removeHandler(nothing)


def first_line(error: BaseException) -> str:
    """What an error says, in one printable line of at most 160 characters; its type where it says nothing."""
    return printable(" ".join(str(error).split())[:160] or type(error).__name__)


def _check_scene(scene: Any) -> None:
    """ValueError where the parts of a scene, each as often as it is shown, have too many faces."""
    import trimesh

    if not isinstance(scene, trimesh.Scene):
        return
    shapes = {name: len(getattr(shape, "faces", ())) for name, shape in scene.geometry.items()}
    total = sum(shapes[scene.graph[name][1]] for name in scene.graph.nodes_geometry)
    if total > MAX_FACES:
        raise ValueError(f"{total} faces, of which at most {MAX_FACES} are read")


def _check_gltf(data: bytes) -> None:
    """ValueError where the JSON of a glTF asks for more than can be meant."""
    tree = json.loads(_json_of(data))
    if not isinstance(tree, dict):
        raise ValueError("a header that is no JSON object")
    total = sum(_bytes_of(accessor) for accessor in _list(tree, "accessors"))
    if total > MAX_BYTES:
        raise ValueError(f"a header that asks for {total} bytes")
    _check_tree([node.get("children", ()) for node in _list(tree, "nodes")])


def _json_of(data: bytes) -> bytes:
    if data[:4] != b"glTF":
        return data
    return data[20 : 20 + int.from_bytes(data[12:16], "little")]


def _list(tree: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = tree.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError(f"{name} in the header that are no list of objects")
    return found


def _bytes_of(accessor: dict[str, Any]) -> int:
    count, component, kind = (accessor.get(key) for key in ("count", "componentType", "type"))
    known = component in _COMPONENT_BYTES if isinstance(component, int) else False
    if not isinstance(count, int) or count < 0 or not known or not isinstance(kind, str) or kind not in _COMPONENTS:
        raise ValueError(f"an accessor of {str(count)[:20]} x {str(kind)[:20]} of type {str(component)[:20]}")
    return count * _COMPONENT_BYTES[int(component or 0)] * _COMPONENTS[kind]


def _check_tree(children: list[Any]) -> None:
    """ValueError where a node is nobody's, its own ancestor's, or two parents' child."""
    n, parents = len(children), [0] * len(children)
    for below in children:
        for child in below if isinstance(below, list | tuple) else [None]:
            if not isinstance(child, int) or not 0 <= child < n:
                raise ValueError(f"a child {str(child)[:20]} of {n} nodes")
            parents[child] += 1
    open_nodes, seen = deque(k for k in range(n) if parents[k] == 0), 0
    while open_nodes:
        seen += 1
        for child in children[open_nodes.pop()]:
            parents[child] -= 1
            if parents[child] == 0:
                open_nodes.append(child)
    if seen < n:
        raise ValueError("nodes that contain themselves")
