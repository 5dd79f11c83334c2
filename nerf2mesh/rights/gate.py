"""Whether what a run is made of may be used for what its maker has in mind: before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nerf2mesh.rights.licenses import USES, WORDS, License, Use, Word
from nerf2mesh.rights.reading import terms_of
from nerf2mesh.utils.names import printable


@dataclass(frozen=True)
class Material:
    """Something that a mesh or an adapter is made of."""

    what: str
    """Such as "prior", "adapter", "input", "training data of adapter"."""
    name: str
    licence: str
    """As its giver says it: an SPDX expression, a name, or "" where nobody has said."""
    setting: str
    """Through which it came, for messages."""
    credit: str = ""
    """Who made it."""
    sha256: str = ""
    weighs: bool = True
    """False: only its duties are listed; what it says of uses is not asked."""


@dataclass(frozen=True)
class Verdict:
    """What a licence says of a use, in which clause, where that is written; `title` names the licence."""

    word: Word
    clause: str
    source: str
    title: str


UNSAID = Verdict("unknown", "no licence was stated", "", "not stated")


def judged(licence: str, use: Use) -> Verdict:
    """The verdict on an expression: of licences that hold together the strictest, of alternatives the mildest."""
    found = []
    for alternatives in terms_of(licence):
        found.append(min((_one(entry, use) for entry in alternatives), key=_strictness))
    return max(found, key=_strictness) if found else UNSAID


def check(materials: Iterable[Material], use: Use | None) -> list[str]:
    """What to say before the first step, one line each.

    With `use`: the materials whose licence is unknown. Without: those that would forbid a use, as a notice.

    Raises:
        ValueError: with `use`, in one line, that a material's licence forbids it, in which clause, and where it stands.
    """
    asked = [material for material in materials if material.weighs]
    if use is None:
        return _notice(asked)
    said = []
    for material in asked:
        verdict = judged(material.licence, use)
        if verdict.word == "no":
            raise ValueError(refusal(material, use, verdict))
        if verdict.word == "unknown":
            why = f"{verdict.title}: {verdict.clause}" if verdict.title else verdict.clause
            said.append(f"use={use}: whether {_named(material)} allows it is not known ({why}); ask its giver")
    return list(dict.fromkeys(said))


def refusal(material: Material, use: Use, verdict: Verdict) -> str:
    """The line of an error: the clause and its source."""
    return (
        f"{material.setting}: expected what may be used for use={use}, got {_named(material)} under {verdict.title}, "
        f"{verdict.clause} ({verdict.source}); take another, or get its giver's leave and state that licence"
    )


def duties(materials: Iterable[Material]) -> list[tuple[Material, License]]:
    """Materials with the licences that ask for attribution or share-alike."""
    found = []
    for material in materials:
        entries = [entry for part in terms_of(material.licence) for entry in part[:1] if isinstance(entry, License)]
        found += [(material, entry) for entry in entries if entry.attribution or entry.share_alike]
    return found


def gate_table(materials: Sequence[Material]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: each material x each use, the verdict with its clause."""
    rows = []
    for material in materials:
        verdicts = [judged(material.licence, use) for use in USES]
        title = " and ".join(dict.fromkeys(_titles(material.licence))) or UNSAID.title
        rows.append([material.name, title, *(f"{verdict.word}: {verdict.clause}" for verdict in verdicts)])
    return [*("prior", "licence"), *USES], rows


def _one(entry: License | str, use: Use) -> Verdict:
    if isinstance(entry, str):
        return Verdict("unknown", "a licence that the table does not have", "", printable(entry[:80]))
    terms = entry.terms(use)
    return Verdict(terms.word, terms.clause, entry.source, entry.title)


def _titles(licence: str) -> list[str]:
    return [entry if isinstance(entry, str) else entry.title for part in terms_of(licence) for entry in part]


def _strictness(verdict: Verdict) -> int:
    return WORDS.index(verdict.word)


def _notice(materials: Iterable[Material]) -> list[str]:
    """One line that names what some use forbids; none where all is allowed or nothing was said of it."""
    barred = []
    for material in materials:
        uses: list[Use] = [use for use in USES if judged(material.licence, use).word == "no"]
        if uses:
            title = judged(material.licence, uses[0]).title
            barred.append(f"{_named(material)} ({title}) forbids {', '.join(uses)}")
    shown = "; ".join(dict.fromkeys(barred))
    if not barred:
        return []
    return [f"use is not set, so that no licence stops the run: {shown}; set use=commercial, research or personal"]


def _named(material: Material) -> str:
    name = printable(material.name[:80])
    return f"{material.what} {name}" if name else material.what
