"""The one table of licences, and that every place which names a licence means an entry of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nerf2mesh.evaluate.protocols.data_sources import sources
from nerf2mesh.priors.builtin.prior import PACKAGED
from nerf2mesh.priors.builtin.weight_files import mesh_sources
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.foundation.zoo import MODEL_ZOO
from nerf2mesh.priors.materials import OWN, prior_materials
from nerf2mesh.rights import LICENSES, USES, License, judged, license_of
from nerf2mesh.rights.licenses import WORDS
from nerf2mesh.rights.reading import terms_of

ROOT = Path(__file__).resolve().parents[2]


def named(text: str) -> list[License]:
    """All entries behind an expression; fails where a name is unknown."""
    found = [entry for part in terms_of(text) for entry in part]
    assert found and all(isinstance(entry, License) for entry in found), text
    return [entry for entry in found if isinstance(entry, License)]


def test_every_entry_says_for_each_use_what_and_where() -> None:
    assert len({entry.id for entry in LICENSES}) == len(LICENSES)
    for entry in LICENSES:
        assert re.fullmatch(r"(LicenseRef-)?[A-Za-z0-9.-]+", entry.id) and entry.title and entry.source
        for use in USES:
            terms = entry.terms(use)
            assert terms.word in WORDS and len(terms.clause) > 5, entry.id


def test_every_place_names_licences_of_the_table() -> None:
    """The zoo, the fetched data, the packaged weights with their page, the project itself."""
    said = [known.licence for known in MODEL_ZOO.values()]
    said += [source.licence for source in sources()]
    said += [str(row["licence"]) for training in mesh_sources(PACKAGED) for row in training]
    page = (ROOT / "nerf2mesh/priors/builtin/weights/DATA.md").read_text(encoding="utf-8")
    said += re.findall(r"^\| \d+ \| (\S+) \|", page, re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    said += [*re.findall(r'^license = "(.+)"$', project, re.MULTILINE), OWN]
    assert len(said) > 50
    assert {entry.id for text in said for entry in named(text)} <= {entry.id for entry in LICENSES}


def test_the_priors_page_names_the_licences_of_the_zoo() -> None:
    page = (ROOT / "docs/priors.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, known in MODEL_ZOO.items():
        (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        cell = row.split("|")[6]
        for entry in named(known.licence):
            assert entry.title in cell, (name, entry.title)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/", "CC-BY-NC-SA-3.0"),
        ("Creative Commons Zero", "CC0-1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("MIT Licence", "MIT"),
        ("creativeml-openrail-m", "LicenseRef-CreativeML-OpenRAIL-M"),
        ("openrail++", "LicenseRef-CreativeML-OpenRAIL-PP-M"),
        ("openrail", "LicenseRef-OpenRAIL"),
        ("stabilityai-ai-community", "LicenseRef-Stability-Community"),
        ("flux-1-dev-non-commercial-license", "LicenseRef-FLUX-1-dev-NC"),
        ("\uff23\uff23\uff10", "CC0-1.0"),
        ("own", "LicenseRef-Own-Work"),
    ],
)
def test_spellings_of_people_and_hubs(text: str, wanted: str) -> None:
    found = license_of(text)
    assert found is not None and found.id == wanted


@pytest.mark.parametrize("text", ["", " ", "other", "CC-BY-9.0", "MIT-like", "\0", "x" * 100_000, "license"])
def test_other_texts_are_no_licence_of_the_table(text: str) -> None:
    assert license_of(text) is None
    assert judged(text, "commercial").word == "unknown"


def test_expressions_take_the_strictest_of_all_and_the_mildest_of_alternatives() -> None:
    assert judged("MIT AND CC-BY-NC-4.0", "commercial").word == "no"
    assert judged("CC-BY-4.0; MIT", "commercial").word == "conditions"
    assert judged("(MIT OR CC-BY-NC-4.0)", "commercial").word == "yes"
    assert judged("MIT AND something else", "commercial").word == "unknown"
    assert judged("CC-BY-NC-4.0 AND something else", "commercial").word == "no"


def test_creative_commons_by_its_own_letters() -> None:
    """NC forbids commercial use, ND to share an adaptation, SA asks for the same licence, all ask for the name."""
    for entry in (entry for entry in LICENSES if entry.id.startswith("CC-")):
        letters = entry.id.split("-")[1:-1]
        assert (entry.commercial.word == "no") == bool({"NC", "ND"} & set(letters))
        assert entry.research.word == entry.personal.word == "conditions"
        assert bool(entry.share_alike) == ("SA" in letters) and "author" in entry.attribution


def test_a_card_says_the_licence_of_a_folder(tmp_path: Path) -> None:
    def stated(text: str) -> str:
        (tmp_path / "README.md").write_text(text, encoding="utf-8")
        return prior_materials(PriorConfig(model=str(tmp_path)))[0].licence

    assert stated("---\nlicense: cc-by-nc-4.0\ntags:\n- x\n---\n# A model") == "cc-by-nc-4.0"
    named_other = "---\nlicense: other\nlicense_name: flux-1-dev-non-commercial-license\n---\n"
    assert judged(stated(named_other), "commercial").word == "no"
    assert stated("# A model\nlicense: mit\n") == stated("---\nnothing\n---") == stated("\0\xff") == ""
