"""The one table of licences: what each says of commercial, research and personal use, where, and what it asks for.

Names are SPDX identifiers, and where SPDX has none, `LicenseRef-...` as SPDX wants it. Clauses are told in our words,
short, with the place where they stand; they are no legal advice, and the text of the licence counts. Where a text
was not read, the verdict is "unknown" and says so. Every other place of this package names a licence by this table
(`reading.license_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Use = Literal["commercial", "research", "personal"]
USES: tuple[Use, ...] = ("commercial", "research", "personal")
Word = Literal["yes", "conditions", "unknown", "no"]
"""From the mildest to the strictest."""
WORDS: tuple[Word, ...] = ("yes", "conditions", "unknown", "no")


@dataclass(frozen=True)
class Terms:
    """What a licence says of one use, and where it says so."""

    word: Word
    clause: str


@dataclass(frozen=True)
class License:
    """A licence. attribution and share_alike: the duty, or "" where there is none."""

    id: str
    title: str
    source: str
    """Where its text is."""
    commercial: Terms
    research: Terms
    personal: Terms
    attribution: str = ""
    share_alike: str = ""
    aliases: tuple[str, ...] = ()
    """Other spellings; letters' case, blanks and punctuation do not count anyway."""

    def terms(self, use: Use) -> Terms:
        """What it says of that use."""
        return {"commercial": self.commercial, "research": self.research, "personal": self.personal}[use]


def _free(id: str, title: str, source: str, clause: str, attribution: str = "", aliases: tuple[str, ...] = ()):
    """One that allows all three uses alike."""
    terms = Terms("yes", clause)
    return License(id, title, source, terms, terms, terms, attribution, aliases=aliases)


def _creative_commons(kind: str, version: str) -> License:
    """BY, BY-SA, BY-NC, BY-ND and their mixtures; the section numbers are those of 4.0 (3.0 and older have others)."""
    parts, recent = kind.split("-"), version == "4.0"
    grant, by, like = ("2(a)(1)", "3(a)", "3(b)") if recent else ("3", "4", "4(b)")
    credited = Terms("conditions", f"section {grant}: allowed, with attribution (section {by})")
    commercial, other = credited, credited
    if "ND" in parts:
        shared = f"section {grant}: an adaptation, as a mesh of the work is, may not be shared"
        commercial, other = Terms("no", shared), Terms("conditions", shared)
    if "NC" in parts:
        commercial = Terms("no", f"section {grant}: granted for NonCommercial purposes only")
    return License(
        f"CC-{kind}-{version}",
        f"Creative Commons {kind} {version}",
        f"https://creativecommons.org/licenses/{kind.lower()}/{version}/legalcode",
        commercial,
        other,
        other,
        f"name the author, the work, this licence with a link, and that it was changed (section {by})",
        f"share the mesh under CC {kind} {version} or a licence named compatible (section {like})"
        if "SA" in parts
        else "",
    )


_RAIL = Terms(
    "conditions",
    "paragraph 5 and attachment A: not for the uses listed there; paragraph 6: no rights in outputs are claimed",
)
_CARD = Terms(
    "conditions", "the page names an OpenRAIL licence without saying which; its list of forbidden uses applies"
)
_UNREAD = Terms("unknown", "its text was not read for this table; read it")
_NO_GRANT = Terms("no", "no right is granted")
_OWN = Terms("yes", "the rights are held by whoever makes the mesh, as that person says")
_COPIES = "keep the copyright notice and the licence with copies of the material"

LICENSES: tuple[License, ...] = (
    _free(
        "CC0-1.0",
        "Creative Commons Zero 1.0",
        "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
        "section 2: all rights are waived",
        aliases=("CC0", "CC 0", "Creative Commons Zero", "cc-zero"),
    ),
    _free(
        "LicenseRef-Public-Domain",
        "public domain, as its giver says",
        "https://spdx.org/licenses/",
        "no rights are reserved, as its giver says",
        aliases=("public domain", "PD", "released into the public domain", "public domain mark", "PDM"),
    ),
    _free("Unlicense", "The Unlicense", "https://spdx.org/licenses/Unlicense", "first paragraph: for any purpose"),
    _free(
        "MIT",
        "MIT License",
        "https://spdx.org/licenses/MIT",
        "first paragraph: without restriction",
        _COPIES,
        ("MIT license", "Expat"),
    ),
    _free("MIT-0", "MIT No Attribution", "https://spdx.org/licenses/MIT-0", "first paragraph: without restriction"),
    _free(
        "Apache-2.0",
        "Apache License 2.0",
        "https://www.apache.org/licenses/LICENSE-2.0",
        "sections 2 and 3: any use",
        _COPIES + ", and NOTICE (section 4)",
        ("Apache 2.0", "Apache 2", "Apache License, Version 2.0"),
    ),
    _free("BSD-2-Clause", "BSD 2-Clause", "https://spdx.org/licenses/BSD-2-Clause", "any use", _COPIES, ("BSD 2",)),
    _free("BSD-3-Clause", "BSD 3-Clause", "https://spdx.org/licenses/BSD-3-Clause", "any use", _COPIES, ("BSD 3",)),
    *(
        _creative_commons(kind, version)
        for kind in ("BY", "BY-SA", "BY-NC", "BY-NC-SA", "BY-ND", "BY-NC-ND")
        for version in ("4.0", "3.0", "2.0")
    ),
    License(
        "LicenseRef-Own-Work",
        "own work",
        "the person who makes the mesh",
        _OWN,
        _OWN,
        _OWN,
        aliases=("own", "mine", "own work", "self"),
    ),
    License(
        "LicenseRef-All-Rights-Reserved",
        "all rights reserved",
        "the author",
        _NO_GRANT,
        _NO_GRANT,
        _NO_GRANT,
        aliases=("all rights reserved", "copyright", "proprietary"),
    ),
    License(
        "LicenseRef-Research-Only",
        "for research only, as its giver says",
        "the giver's page",
        Terms("no", "intended for research purposes only"),
        Terms("yes", "intended for research purposes"),
        Terms("no", "intended for research purposes only"),
        aliases=("research only", "for research purposes only", "academic use only", "non-commercial research"),
    ),
    License(
        "LicenseRef-Non-Commercial",
        "for non-commercial use, as its giver says",
        "the giver's page",
        Terms("no", "for non-commercial use only"),
        Terms("yes", "non-commercial use is allowed"),
        Terms("yes", "non-commercial use is allowed"),
        aliases=("non-commercial", "noncommercial", "NC"),
    ),
    License(
        "LicenseRef-CreativeML-OpenRAIL-M",
        "CreativeML Open RAIL-M",
        "https://github.com/CompVis/stable-diffusion/blob/main/LICENSE",
        _RAIL,
        _RAIL,
        _RAIL,
        aliases=("CreativeML OpenRAIL-M", "openrail-m"),
    ),
    License(
        "LicenseRef-CreativeML-OpenRAIL-PP-M",
        "CreativeML Open RAIL++-M",
        "https://github.com/Stability-AI/generative-models/blob/main/model_licenses/LICENSE-SDXL1.0",
        _RAIL,
        _RAIL,
        _RAIL,
        aliases=("CreativeML OpenRAIL++-M", "openrail++", "openrail++-m"),
    ),
    License(
        "LicenseRef-OpenRAIL",
        "OpenRAIL, the page does not say which",
        "https://www.licenses.ai/",
        _CARD,
        _CARD,
        _CARD,
        aliases=("openrail", "BigScience OpenRAIL"),
    ),
    License(
        "LicenseRef-Stability-Community",
        "Stability AI Community License",
        "https://stability.ai/community-license-agreement",
        Terms("conditions", "section III: free below 1,000,000 USD of yearly revenue, and only after registering"),
        Terms("conditions", "section II: free; acceptable use policy"),
        Terms("conditions", "section II: free; acceptable use policy"),
        'show "Powered by Stability AI" and keep the notice where the model or a derivative is passed on or used in '
        "a product (section IV(a))",
        aliases=("stabilityai-ai-community", "Stability AI Community License Agreement", "Stability Community"),
    ),
    License(
        "LicenseRef-Stability-NC-Research",
        "Stability AI Non-Commercial Research Community License",
        "https://huggingface.co/stabilityai/stable-zero123",
        Terms("no", "section 1(a): for non-commercial uses only, without a membership or commercial licence"),
        Terms("yes", "section 1(a): research is a non-commercial use"),
        Terms("yes", "definitions: personal creative use is a non-commercial use"),
        aliases=("sai-nc-community", "stabilityai-nc-research-community"),
    ),
    License(
        "LicenseRef-FLUX-1-dev-NC",
        "FLUX.1 [dev] Non-Commercial License",
        "https://github.com/black-forest-labs/flux/blob/main/model_licenses/LICENSE-FLUX1-dev",
        Terms(
            "no",
            "sections 2(b), 4(a): the model may be used for non-commercial purposes only "
            "(what 2(d) says of outputs does not allow commercial use of the model)",
        ),
        Terms("yes", "section 1(c): non-commercial research in a non-production setting"),
        Terms("yes", "section 1(c)(i): personal use without any payment"),
        aliases=("flux-1-dev-non-commercial-license", "FLUX.1-dev Non-Commercial", "FLUX non-commercial"),
    ),
    License(
        "LicenseRef-DeepFloyd-IF",
        "DeepFloyd IF License Agreement",
        "https://github.com/deep-floyd/IF/blob/develop/LICENSE-MODEL",
        Terms(
            "no",
            "sections 1(a), 2(a): non-commercial research only, and no data made by the model for commercial "
            "or production purposes",
        ),
        Terms("yes", "section 1(a): non-commercial research"),
        Terms("no", "section 1(a): solely for non-commercial research"),
        'with copies: "DeepFloyd is licensed under the DeepFloyd License, Copyright (c) Stability AI Ltd. All Rights '
        'Reserved." (section 3)',
        aliases=("deepfloyd-if-license",),
    ),
    License(
        "LicenseRef-NSCL-v2-Custom",
        "NVIDIA NSCL v2-custom",
        "https://huggingface.co/Efficient-Large-Model/Sana_600M_512px_diffusers/blob/main/LICENSE.txt",
        _UNREAD,
        _UNREAD,
        _UNREAD,
        aliases=("NSCL v2-custom", "NVIDIA License NSCL v2-custom"),
    ),
    License(
        "LicenseRef-Gemma",
        "Gemma Terms of Use",
        "https://ai.google.dev/gemma/terms",
        _UNREAD,
        _UNREAD,
        _UNREAD,
        aliases=("gemma", "Gemma terms"),
    ),
)
