"""Every package that a message tells the user to install is one that the project itself asks PyPI for."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from nerf2mesh import cli

ROOT = Path(__file__).resolve().parents[1]
NOT_ASKED_FOR = {"tinycudann", "benchmarks"}
"""Built from source, and the checkout's own folder."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project() -> tuple[set[str], set[str]]:
    """(extras, packages that pyproject.toml or constraints.txt name)."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.scripts]")[0]
    extras = set(re.findall(r"^(\w+) = \[", text.partition("[project.optional-dependencies]")[2], re.MULTILINE))
    asked = re.findall(r'"([\w.-]+)(?:\[\w+\])?[<>=]', text)
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return extras, {plain(name) for name in (*asked, *pinned)}


def hints() -> set[str]:
    """The word after `pip install` and its options, in code and pages."""
    files = [*(ROOT / "nerf2mesh").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    found = set()
    for path in files:
        for word in re.findall(r"pip install (?:--?[\w-]+ )*(\S+)", path.read_text(encoding="utf-8")):
            found |= set(re.findall(r"^['\"`]*([A-Za-z][\w.-]*(?:\[\w+\])?)", word))
    return found - {"CHECKOUT", "wheelhouse"}


def test_hints_name_what_the_project_asks_for() -> None:
    extras, packages = project()
    assert {"remesh", "print", "gpu"} <= extras and {"torch", "lxml", "pillow-heif"} <= packages
    assert len(hints()) > 8
    for word in sorted(hints()):
        name, _, extra = word.partition("[")
        assert extra.rstrip("]") in extras if extra else plain(name) in packages | {"nerf2mesh"}, word


def imported() -> set[str]:
    """Top-level modules of others that the package imports anywhere."""
    names = set()
    for path in (ROOT / "nerf2mesh").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names |= {module.split(".")[0] for module in modules}
    return names - set(sys.stdlib_module_names) - {"nerf2mesh", ""}


def test_a_missing_module_is_named_as_pypi_has_it() -> None:
    _, packages = project()
    modules = imported() - NOT_ASKED_FOR
    assert len(modules) > 25
    for module in sorted(modules):
        said = str(cli.user_message(ModuleNotFoundError(f"No module named {module!r}", name=module)))
        assert [name for name in re.findall(r"pip install (\S+)$", said) if plain(name) not in packages] == [], said


@pytest.mark.parametrize("module", sorted(NOT_ASKED_FOR | {"scikit"}))
def test_no_command_where_pypi_would_have_another_package(module: str) -> None:
    said = str(cli.user_message(ModuleNotFoundError("no", name=f"{module}.part")))
    assert said == f"the package {module}.part is not installed; install it, or leave out the setting that asks for it"


@pytest.mark.parametrize(
    ("module", "name"),
    [("PIL.Image", "pillow"), ("cv2", "opencv-python-headless"), ("fast_simplification", "fast-simplification")],
)
def test_usual_packages_have_their_command(module: str, name: str) -> None:
    assert str(cli.user_message(ImportError("no", name=module))).endswith(f"pip install {name}")
