"""From what people write as a licence to the table: spellings, links to Creative Commons, SPDX expressions."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from nerf2mesh.rights.licenses import LICENSES, License

MOST = 10_000
"""Longer texts are no name of a licence."""
_CC_LINK = re.compile(r"creativecommons\.org/licenses/([a-z-]+)/(\d)\.(\d)", re.IGNORECASE)
_ZERO_LINK = re.compile(r"creativecommons\.org/publicdomain/zero", re.IGNORECASE)


def license_of(text: str) -> License | None:
    """The licence that a text names; None where the table has none by that name."""
    if len(text) > MOST:
        return None
    if link := _CC_LINK.search(text):
        text = f"CC-{link[1]}-{link[2]}.{link[3]}"
    elif _ZERO_LINK.search(text):
        text = "CC0-1.0"
    return _by_spelling().get(plain(text))


def terms_of(expression: str) -> list[list[License | str]]:
    """An SPDX expression as alternatives that all hold together: [[A, B], [C]] is (A or B) and C.

    Names that the table lacks stay texts. ";" and "," stand for AND, as in data cards. OR binds more tightly than AND
    here, against SPDX: the reading that grants less. Empty where nothing is said.
    """
    whole = license_of(expression)
    if whole is not None:
        return [[whole]]
    text = re.sub(r"[()]", " ", expression[:MOST])
    parts = [part for part in re.split(r"\s+AND\s+|[;,]", text) if part.strip()]
    return [[license_of(name) or " ".join(name.split()) for name in re.split(r"\s+OR\s+", part)] for part in parts]


def plain(text: str) -> str:
    """The spelling without case, punctuation and the word licence; a plus sign counts (OpenRAIL++)."""
    text = unicodedata.normalize("NFKC", text).casefold()
    words = re.findall(r"[a-z0-9+]+", re.sub(r"\blicen[cs]e\b", " ", text))
    return "-".join(word for word in words if word != "licenseref")


@cache
def _by_spelling() -> dict[str, License]:
    found: dict[str, License] = {}
    for entry in LICENSES:
        for spelling in (entry.id, entry.title, *entry.aliases):
            key = plain(spelling)
            assert found.get(key, entry) is entry, spelling
            found[key] = entry
    return found
