"""Hook of the docs site: every setting, its default and its meaning, read from the config dataclasses.

The sources are parsed, not imported, so that the page needs neither torch nor Hydra and cannot differ from the code;
ranges are put into words by `nerf2mesh.utils`, which needs neither. A
page that holds the line `<!-- settings: nerf2mesh/config.py Config -->` gets the tables of that class in its place.
"""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerf2mesh.utils import ranges
from nerf2mesh.utils.range_check import form_of

ROOT = Path(__file__).resolve().parents[1]
MARK = re.compile(r"^<!-- settings: (\S+) (\w+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Setting:
    """One field of a config dataclass; `default` is its source text, empty where there is none."""

    name: str
    range: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Group:
    """A config dataclass: its docstring, its plain settings, and the classes of its fields that are groups."""

    about: str
    settings: tuple[Setting, ...]
    groups: dict[str, str]


def read_group(path: Path, name: str) -> Group:
    """The dataclass `name` of the file `path`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    settings, groups = [], {}
    for node, after in zip(found.body, [*found.body[1:], None]):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        kind = ast.unparse(node.annotation)
        inner = re.search(r"\w+Config", kind)
        if inner:
            groups[node.target.id] = inner[0]
            continue
        settings.append(
            Setting(node.target.id, _range(node.annotation, path), _default(node.value, path), _text(after))
        )
    return Group(ast.get_docstring(found) or "", tuple(settings), groups)


def _range(annotation: ast.expr, path: Path) -> str:
    """What a setting may be, in words."""
    return re.sub(r"^an? ", "", form_of(_valued(annotation, path)).said())


def _valued(node: ast.expr, path: Path) -> Any:
    """The value of an annotation in a file; the names that it uses are looked up in the files that define them."""
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    known: dict[str, Any] = {**vars(ranges), **vars(builtins), "Any": Any}
    for name in names - set(known):
        file = defining_file(path, name)
        value = _assigned(ast.parse(file.read_text(encoding="utf-8")), name)
        assert value is not None, name
        known[name] = _valued(value, file)
    return eval(compile(ast.Expression(node), str(path), "eval"), known)


def _default(value: ast.expr | None, path: Path) -> str:
    """The default as it is written in YAML or on the command line; a named constant by its value."""
    if isinstance(value, ast.Call):
        factory = next((keyword.value for keyword in value.keywords if keyword.arg == "default_factory"), None)
        named = ast.unparse(factory) if factory is not None else ""
        return {"list": "[]", "dict": "{}"}.get(named, named)
    if isinstance(value, ast.Name):
        file = defining_file(path, value.id)
        return _default(_assigned(ast.parse(file.read_text(encoding="utf-8")), value.id), file)
    if isinstance(value, ast.BinOp) and not any(isinstance(node, ast.Name) for node in ast.walk(value)):
        return str(eval(compile(ast.Expression(value), str(path), "eval"), {"__builtins__": {}}))  # such as 1 << 18
    if not isinstance(value, ast.Constant):
        return "" if value is None else ast.unparse(value)
    if value.value is None or isinstance(value.value, bool):
        return {None: "null", True: "true", False: "false"}[value.value]
    return str(value.value) if value.value != "" else '""'


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    """The value that a module gives a name."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.value
    return None


def _text(node: ast.stmt | None) -> str:
    """The attribute docstring that follows a field."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def defining_file(path: Path, name: str) -> Path:
    """The file that defines a class or constant which `path` has or imports, also through a room's `__init__`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body)
    if here or _assigned(tree, name) is not None:
        return path
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            module = ROOT / node.module.replace(".", "/")
            return defining_file(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"), name)
    raise ValueError(f"settings: {path} does not know {name}")


def tables(path: Path, name: str, prefix: str = "", level: int = 2) -> str:
    """Markdown of a class and, below it, of its groups."""
    group = read_group(path, name)
    lines = [f"{'#' * level} {prefix.rstrip('.') or name}", "", group.about, ""]
    if group.settings:
        lines += ["| setting | default | range | meaning |", "|---|---|---|---|"]
        lines += [_row(prefix, setting) for setting in group.settings]
        lines += [""]
    for field, inner in group.groups.items():
        lines += [tables(defining_file(path, inner), inner, f"{prefix}{field}.", level + 1)]
    return "\n".join(lines)


def _row(prefix: str, setting: Setting) -> str:
    cells = (f"`{prefix}{setting.name}`", f"`{setting.default}`" if setting.default else "", _plain(setting.range))
    return "| " + " | ".join((*cells, _plain(setting.meaning))) + " |"


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("|", "\\|")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by mkdocs for every page."""
    return MARK.sub(lambda found: tables(ROOT / found[1], found[2]), markdown)
