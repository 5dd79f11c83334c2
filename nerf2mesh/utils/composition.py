"""Compositions by Hydra, each list of files merged once in a process.

Every composition reads and merges some two dozen files and schemas, though few lists of them differ: what differs is
mostly values, which Hydra sets on the merged tree. Kept are the list of files for the chosen groups, and the merged
tree, which is handed out as a copy. Both depend on the sources, the package's files (by time and size) and the schemas
that are stored; where one of these is another, or a source is not the package's own, Hydra composes as ever.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Hashable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from nerf2mesh.utils.replaced import replaced

_LISTS: dict[Hashable, Any] = {}
_TREES: dict[Hashable, bytes] = {}
_FILES: dict[Hashable, bytes] = {}
_STORED: dict[int, object] = {}
"""Schemas by their identity; held, so that no other takes its place."""
_ONE_AT_A_TIME = threading.RLock()
"""Hydra's state belongs to the whole process, and so do the replacements here and in `foreign_yaml`."""
LIMIT = 200
"""Entries of each; past it everything is forgotten."""


@contextmanager
def merged_once(own: str) -> Iterator[None]:
    """Inside, Hydra merges the files of `own` (a folder or pkg:// place) once for each list of them."""
    from hydra._internal.config_repository import ConfigRepository
    from hydra._internal.defaults_list import DefaultsList
    from hydra.core.config_store import ConfigStore

    hydra: Any = import_module("hydra._internal.config_loader_impl")
    files = tuple(sorted(_files(own))) if "://" not in own else ()
    stamp, read = (files, tuple(_schemas(ConfigStore.instance().repo))), ConfigRepository.load_config
    listed, merged = hydra.create_defaults_list, hydra.ConfigLoaderImpl._compose_config_from_defaults_list

    def list_once(repo: Any, config_name: Any, overrides_list: list[Any], **options: Any) -> Any:
        chosen = [item for item in overrides_list if repo.group_exists(item.key_or_group)]
        state = _state(own, stamp, repo)
        plain = all(isinstance(item.value(), str) for item in chosen)
        if state is None or not plain or any(item.is_sweep_override() for item in overrides_list):
            return listed(repo=repo, config_name=config_name, overrides_list=overrides_list, **options)
        key = (state, config_name, tuple(item.input_line for item in chosen), tuple(options.items()))
        if key not in _LISTS:
            made = listed(repo=repo, config_name=config_name, overrides_list=overrides_list, **options)
            _keep(_LISTS, key, (made.defaults, made.defaults_tree, made.overrides))
        defaults, tree, overrides = _LISTS[key]
        rest = [item for item in overrides_list if item not in chosen]
        return DefaultsList(defaults=defaults, config_overrides=rest, defaults_tree=tree, overrides=overrides)

    def read_once(repo: Any, config_path: str) -> Any:
        state = _state(own, stamp, repo)
        key = (state, config_path)
        if state is not None and key in _FILES:
            return pickle.loads(_FILES[key])
        made = read(repo, config_path)
        if state is not None and made is not None:
            _keep(_FILES, key, pickle.dumps(made))
        return made

    def merge_once(loader: Any, defaults: list[Any], repo: Any) -> Any:
        state = _state(own, stamp, repo)
        if state is None:
            return merged(loader, defaults, repo)
        key = (state, repr(defaults))
        if key not in _TREES:
            _keep(_TREES, key, pickle.dumps(merged(loader, defaults, repo)))
        return pickle.loads(_TREES[key])

    with _ONE_AT_A_TIME, ExitStack() as stack:
        stack.enter_context(replaced(ConfigRepository, "load_config", read_once))
        stack.enter_context(replaced(hydra, "create_defaults_list", list_once))
        stack.enter_context(replaced(hydra.ConfigLoaderImpl, "_compose_config_from_defaults_list", merge_once))
        # Hydra copies all its sources for each composition; what is read from the store is copied then in any case.
        stack.enter_context(replaced(ConfigStore, "__deepcopy__", lambda store, _: store))
        yield


def _keep(kept: dict[Hashable, Any], key: Hashable, value: Any) -> None:
    if len(kept) >= LIMIT:
        kept.clear()
    kept[key] = value


def _state(own: str, stamp: Hashable, repo: Any) -> Hashable | None:
    """What a merged tree depends on beside the list of files; None where a source is not the package's own."""
    sources = [(source.scheme(), source.path) for source in repo.get_sources()]
    if any(scheme == "file" and f"file://{path}" != f"file://{own}" for scheme, path in sources):
        return None
    return tuple(sources), stamp


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            facts = entry.stat()
            yield entry.path, facts.st_mtime_ns, facts.st_size


def _schemas(stored: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in stored.items():
        if isinstance(value, dict):
            yield from _schemas(value)
        else:
            _STORED[id(value)] = value
            yield name, id(value)
