"""The docs: their Python runs, every setting is on its page, links lead somewhere, no page needs a network."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = ("guide/configs.md", "extend/kernel.md", pytest.param("guide/notebook.md", marks=pytest.mark.slow))


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page in their order."""
    code = "\n".join(PYTHON.findall((DOCS / page).read_text()))
    assert code
    file = tmp_path / "page.py"
    file.write_text(code)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(file), run_name="__main__")


@pytest.mark.parametrize("page", ["extend/loss.md", "extend/prior.md"])
def test_worked_examples_are_the_files_that_run(page: str) -> None:
    (name,) = re.findall(r'^--8<-- "(examples/\S+)"$', (DOCS / page).read_text(), re.MULTILINE)
    assert (ROOT / name).is_file()


def test_every_setting_is_on_the_settings_page() -> None:
    """The page is made from the source text; the truth here are the dataclasses as they load."""
    from omegaconf import DictConfig, OmegaConf

    from nerf2mesh.config import Config

    def leaves(tree: DictConfig, prefix: str = "") -> dict[str, object]:
        found = {}
        for key in tree:
            value = None if OmegaConf.is_missing(tree, key) else tree[key]
            found |= leaves(value, f"{prefix}{key}.") if isinstance(value, DictConfig) else {f"{prefix}{key}": value}
        return found

    page = runpy.run_path(str(DOCS / "settings_page.py"))["on_page_markdown"]((DOCS / "settings.md").read_text())
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|", page, re.MULTILINE))
    wanted = leaves(OmegaConf.structured(Config))
    wanted.pop("second")
    assert sorted(set(wanted) - set(rows)) == []
    numbers = {name: value for name, value in wanted.items() if type(value) in (int, float)}
    assert len(numbers) > 80
    assert {name: float(rows[name].strip("`")) for name in numbers} == numbers


def test_links_lead_somewhere() -> None:
    missing = []
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#]+\.(?:md|png|svg))(?:#[\w-]+)?\)", page.read_text()):
            if not target.startswith("http") and not (page.parent / target).is_file():
                missing.append(f"{page.relative_to(DOCS)}: {target}")
    assert missing == []


@pytest.mark.slow
def test_the_site_is_built_without_warnings_and_needs_no_network(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs the docs extra")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    loaded = re.compile(r'<(?:script|img|iframe)[^>]+src="?https?://|<link[^>]+rel="?stylesheet"?[^>]+href="?https?://')
    assert [page.name for page in pages if loaded.search(page.read_text())] == []
