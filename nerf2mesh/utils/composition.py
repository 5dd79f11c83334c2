"""Compositions by Hydra, each list of files merged once in a process.

Every composition reads and merges some two dozen files and schemas, though few lists of them differ: what differs is
mostly values, which Hydra sets on the merged tree. Kept are the list of files for the chosen groups, what a file holds,
and the merged tree; the last two are handed out as copies. They depend on the sources, the package's files (by time and
size) and the schemas that are stored; where one of these is another they are made anew. With a source that the user
named (hydra.searchpath), and for what cannot be pickled, Hydra composes as ever.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import Any

from nerf2mesh.utils.replaced import replaced
from nerf2mesh.utils.same import Same

_LISTS: dict[Hashable, Any] = {}
_TREES: dict[Hashable, bytes] = {}
_FILES: dict[Hashable, bytes] = {}
_ONE_AT_A_TIME = threading.RLock()
"""Hydra's state belongs to the whole process, and so do the replacements here and in `foreign_yaml`."""
LIMIT = 200
"""Entries of each; past it everything is forgotten."""


@contextmanager
def merged_once(own: str) -> Iterator[None]:
    """Inside, Hydra merges the files of `own` (a folder or pkg:// place) once for each list of them."""
    with _ONE_AT_A_TIME, ExitStack() as stack:
        for owner, name, function in _replacements(own):
            stack.enter_context(replaced(owner, name, function))
        yield


def _replacements(own: str) -> list[tuple[object, str, Callable[..., Any]]]:
    """What is to be replaced: owner, name, function. They call what is there now and look at the files as they are now,
    so that this is called with the lock held."""
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
        return _copied(_FILES, _state(own, stamp, repo), config_path, lambda: read(repo, config_path))

    def merge_once(loader: Any, defaults: list[Any], repo: Any) -> Any:
        return _copied(_TREES, _state(own, stamp, repo), repr(defaults), lambda: merged(loader, defaults, repo))

    return [
        (ConfigRepository, "load_config", read_once),
        (hydra, "create_defaults_list", list_once),
        (hydra.ConfigLoaderImpl, "_compose_config_from_defaults_list", merge_once),
        # Hydra copies all its sources for each composition; what is read from the store is copied then in any case.
        (ConfigStore, "__deepcopy__", lambda store, _: store),
    ]


def _copied(kept: dict[Hashable, bytes], state: Hashable | None, key: str, make: Callable[[], Any]) -> Any:
    """What `make` gives, or a copy of what it gave in this state before; without a state nothing is kept."""
    if state is None:
        return make()
    if (state, key) in kept:
        return pickle.loads(kept[state, key])
    made = make()
    with suppress(pickle.PicklingError, AttributeError, TypeError):  # a schema that belongs to a function
        _keep(kept, (state, key), pickle.dumps(made))
    return made


def _keep(kept: dict[Hashable, Any], key: Hashable, value: Any) -> None:
    if len(kept) >= LIMIT:
        kept.clear()
    kept[key] = value


def _state(own: str, stamp: Hashable, repo: Any) -> Hashable | None:
    """What a merged tree depends on beside the list of files; None where a source may hold other files later."""
    for source in repo.get_sources():
        is_own = source.scheme() != "file" or f"file://{source.path}" == f"file://{own}"
        if not is_own or source.provider.startswith("hydra.searchpath"):
            return None
    return tuple((source.scheme(), source.path) for source in repo.get_sources()), stamp


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _files(entry.path)
            continue
        with suppress(FileNotFoundError):  # an editor's link that locks a file, or a file that has just gone
            facts = entry.stat()
            yield entry.path, facts.st_mtime_ns, facts.st_size


def _schemas(stored: dict[str, Any]) -> Iterator[tuple[str, Same]]:
    for name, value in stored.items():
        if isinstance(value, dict):
            yield from _schemas(value)
        else:
            yield name, Same(value)
