"""docs/recipes.md beside the configurations: every value is the composed one, every setting of a recipe has a row."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from nerf2mesh.config import Config, load_config

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("demo", "photos", "few_photos", "refine", "drawing", "frames")
OWN = {f"experiment={name}" for name in NAMES} | {"distill=sds"}
"""What nobody has published."""
LOCATION = re.compile(r"[A-Za-z0-9-]+ [\w./-]+:\d+|[A-Z][a-z]+ et al\. \d{4}, .+")


@cache
def tables() -> dict[str, list[list[str]]]:
    """Rows (setting, source, theirs, ours, reason) under each heading that is an override, such as distill=sdi."""
    found: dict[str, list[list[str]]] = {}
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        heading, *lines = part.splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
        found |= {heading: rows} if "=" in heading else {}
    return found


def subjects() -> list[str]:
    names = [
        f"{group}={path.stem}"
        for group in ("distill", "experiment")
        for path in (ROOT / "configs" / group).glob("*.yaml")
    ]
    return sorted({*names, "field=threestudio"} - OWN)


COMPOSED = [subject for subject in subjects() if subject != "experiment=sjc_sd"]


def value_of(config: Config, setting: str) -> object:
    """As YAML has it: tuples are lists."""
    value: object = config
    for part in setting.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return list(value) if isinstance(value, tuple) else value


def leaves(node: dict, prefix: str = "") -> list[str]:
    """Dotted names of a configuration file's own settings."""
    names = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        names += leaves(value, f"{name}.") if isinstance(value, dict) else [name]
    return names


def test_every_recipe_has_a_table() -> None:
    """sjc_sd changes nothing but the loss."""
    assert set(tables()) == set(subjects()) - {"experiment=sjc_sd"}


@pytest.mark.parametrize("subject", COMPOSED)
def test_the_table_has_the_composed_values(subject: str) -> None:
    config = load_config([subject])
    told = {row[0].strip("`"): yaml.safe_load(row[3].strip("`")) for row in tables()[subject]}
    assert len(told) == len(tables()[subject]), "each setting has one row"
    assert told == {name: value_of(config, name) for name in told}


@pytest.mark.parametrize("subject", subjects())
def test_no_setting_of_a_recipe_is_without_a_row(subject: str) -> None:
    """`loss` is what the file is about; the options that `defaults` picks have tables of their own."""
    group, name = subject.split("=")
    node = yaml.safe_load((ROOT / "configs" / group / f"{name}.yaml").read_text(encoding="utf-8"))
    node.pop("defaults", None)
    prefix = "" if group == "experiment" else f"{group}."
    wanted = set(leaves(node, prefix)) - {"distill.loss"}
    assert wanted <= {row[0].strip("`") for row in tables().get(subject, [])}


@pytest.mark.parametrize("subject", COMPOSED)
def test_every_row_says_where_its_value_is_from(subject: str) -> None:
    rows = tables()[subject]
    assert [row for row in rows if len(row) != 5 or not LOCATION.fullmatch(row[1]) or not row[2]] == []
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    repositories = set(re.findall(r"^\| ([\w-]+) \| [\w.-]+/[\w.-]+ \| [0-9a-f]{7} \|$", text, flags=re.M))
    named = {row[1].split(" ")[0] for row in rows if ":" in row[1]}
    assert named <= repositories
