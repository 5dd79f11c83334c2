"""YAML of others as data: settings only, no code to run and nothing of this machine's environment.

Four things in a YAML file act instead of saying a value: settings of Hydra itself (`hydra.*`: callbacks and loggers are
built from names of Python objects), `_target_`, resolvers (`${oc.env:NAME}`), and aliases that multiply.
In files of the package they stay as they are. In files of a folder that `hydra.searchpath`, `--config-dir` or
`--config-path` names they are refused, unless `--allow NAME,...` or the variable N2M_ALLOW names them; so are they in
the overrides of a sweep's jobs. What the user types on the command line is not looked at, nor is a `pkg://` place,
which is installed code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from nerf2mesh.utils.regular_file import read_regular
from nerf2mesh.utils.replaced import replaced

ALLOW = "N2M_ALLOW"
"""Environment variable: names of resolvers (oc.env), of Hydra's settings (hydra.run) and of targets, between commas."""
MAX_BYTES = 2**20
MAX_NODES = 100_000
"""Values in a file once its aliases are written out."""
MAX_DEPTH = 40
_HYDRA = re.compile(r"(?:^|[\s/@.])(hydra(?:[/.][\w/.]+)?)(?=$|[\s/@.:])")
_DAMAGE = (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError)
_RERUN = "--experimental-rerun"


def taken_from(arguments: Sequence[str]) -> list[str]:
    """The arguments without --allow NAME, whose names are added to N2M_ALLOW, so that workers have them too.

    Raises:
        ValueError: --allow without a name; --experimental-rerun, which would run the code in a pickle.
    """
    kept: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        flag, equals, value = argument.partition("=")
        if len(flag) > 2 and _RERUN.startswith(flag):
            raise ValueError(
                f"{_RERUN}: expected settings, got a pickle, which can run any code; give the settings of the run again"
            )
        if flag != "--allow":
            kept.append(argument)
            continue
        names = value if equals else next(waiting, "")
        if not names or names.startswith("-"):
            raise ValueError(f"--allow: expected names, got {names or 'none'}; write --allow oc.env")
        os.environ[ALLOW] = ",".join(filter(None, [os.environ.get(ALLOW, ""), names]))
    return kept


def allowed(name: str) -> bool:
    """Whether the user named `name`, or for a dotted setting what it belongs to."""
    names = [word for word in re.split(r"[\s,]+", os.environ.get(ALLOW, "")) if word]
    return any(name == word or (word.startswith("hydra") and name.startswith(f"{word}.")) for word in names)


@contextmanager
def foreign_checked(own: str) -> Iterator[None]:
    """Inside, what Hydra composes from files outside `own` (a folder or pkg:// place) is checked; ValueError."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins
    from omegaconf.errors import OmegaConfBaseException

    Plugins.instance()  # fills the registry
    files = SourcesRegistry.instance().resolve("file")
    trusted = own if "://" in own else f"file://{own}"
    read, embed = files.load_config, ConfigLoaderImpl._load_single_config

    def read_checked(source: Any, config_path: str) -> Any:
        file = Path(source.path) / source._normalize_file_name(config_path)
        if f"file://{source.path}" == trusted or not file.exists():
            return read(source, config_path)
        check_yaml(read_regular(file, limit_bytes=MAX_BYTES, follow=True), str(file))
        try:
            return read(source, config_path)
        except OmegaConfBaseException:
            raise
        except _DAMAGE as error:
            raise _damaged(str(file), error) from error

    def embed_checked(loader: Any, default: Any, repo: Any) -> Any:
        result = embed(loader, default, repo)
        place = str(result.path)
        if place.startswith("file://") and place != trusted:
            _check_package(result.config, f"{place.removeprefix('file://')}/{default.config_path}.yaml")
        return result

    with ExitStack() as stack:
        stack.enter_context(replaced(files, "load_config", read_checked))
        stack.enter_context(replaced(ConfigLoaderImpl, "_load_single_config", embed_checked))
        yield


def check_yaml(data: bytes, where: str) -> None:
    """ValueError where the YAML file `where` with these bytes holds more than settings."""
    try:
        root = yaml.compose(data.decode("utf-8"), Loader=yaml.SafeLoader)
    except _DAMAGE as error:
        raise _damaged(where, error) from error
    if root is None:
        return
    size, depth = _size(root, {}, set())
    if size > MAX_NODES or depth > MAX_DEPTH:
        raise ValueError(
            f"{where}: expected at most {MAX_NODES} values, {MAX_DEPTH} deep, got more, aliases written out; "
            "write only what is needed"
        )
    for node in _nodes(root, set()):
        if isinstance(node, yaml.ScalarNode):
            check_text(node.value, where)
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            target = value.value if isinstance(value, yaml.ScalarNode) else "_target_"
            if key.value == "_target_" and not allowed(target):
                _refuse(where, f"_target_: {target}", target)
    _check_defaults(root, where)


def check_text(text: str, where: str) -> None:
    """ValueError where a value calls a resolver that was not allowed. References to other settings are let through."""
    shown, before = text, ""
    while shown != before:
        before, shown = shown, re.sub(r"\$\{[^{}:]*\}", "\0", shown)
        found = re.search(r"\$\{\s*([\w.]+)\s*:[^{}]*\}", shown)
        if found and allowed(found[1]):
            shown = shown[: found.start()] + "\0" + shown[found.end() :]
    if "${" in shown:
        name = (re.search(r"\$\{\s*([\w.]+)\s*:", shown) or [None, "a resolver"])[1]
        _refuse(where, text, str(name))


def check_overrides(overrides: Sequence[str], where: str) -> None:
    """ValueError where overrides out of a file of others do more than set values; folders of configs may be named."""
    for override in overrides:
        check_text(override, where)
        key = override.partition("=")[0].lstrip("+~")
        named = _HYDRA.search(key)
        if named and key != "hydra.searchpath" and not allowed(named[1].replace("/", ".")):
            _refuse(where, override, named[1].replace("/", "."))
        if "_target_" in override and not allowed("_target_"):
            _refuse(where, override, "_target_")


def _check_package(config: Any, where: str) -> None:
    """Whatever a file is called and wherever its package puts it: nothing of it may arrive under hydra."""
    from omegaconf import OmegaConf

    content = OmegaConf.to_container(config, resolve=False)
    if not isinstance(content, Mapping) or "hydra" not in content:
        return
    for name in _leaves(content["hydra"], "hydra"):
        if not allowed(name):
            _refuse(where, name, name)


def _leaves(value: object, name: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}")
    else:
        yield name


def _check_defaults(root: yaml.Node, where: str) -> None:
    """A defaults list may not choose among Hydra's own groups either, such as its launchers."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for entries in (value for key, value in pairs if key.value == "defaults"):
        for entry in entries.value if isinstance(entries, yaml.SequenceNode) else []:
            words = [key for key, _ in entry.value] if isinstance(entry, yaml.MappingNode) else [entry]
            for word in words:
                named = _HYDRA.search(str(word.value))
                if named and not allowed(named[1].replace("/", ".")):
                    _refuse(where, str(word.value), named[1].replace("/", "."))


def _refuse(where: str, got: str, name: str) -> None:
    raise ValueError(
        f"{where}: expected settings of nerf2mesh only, got {got[:80]!r}; take it out, or if you trust the file add "
        f"--allow {name} (or {ALLOW}={name})"
    )


def _damaged(where: str, error: Exception) -> ValueError:
    why = " ".join(str(error).split())[:200]
    return ValueError(f"{where}: expected YAML, got what cannot be read ({why}); correct the file")


def _size(node: yaml.Node, known: dict[int, tuple[int, int]], open_nodes: set[int]) -> tuple[int, int]:
    """Values below a node with every alias written out, and levels; too many for one that contains itself."""
    if id(node) in open_nodes:
        return MAX_NODES + 1, 1
    if id(node) not in known:
        open_nodes.add(id(node))
        below = [_size(child, known, open_nodes) for child in _children(node)]
        known[id(node)] = 1 + sum(n for n, _ in below), 1 + max((d for _, d in below), default=0)
        open_nodes.discard(id(node))
    return known[id(node)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _nodes(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    """Every node once."""
    if id(node) not in seen:
        seen.add(id(node))
        yield node
        for child in _children(node):
            yield from _nodes(child, seen)
