"""Whose work it is: licences and what they allow, what a mesh is made of, and the record of it inside files."""

from __future__ import annotations

from nerf2mesh.rights.gate import Material, Verdict, check, gate_table, judged
from nerf2mesh.rights.licenses import LICENSES, USES, License, Use
from nerf2mesh.rights.reading import license_of
from nerf2mesh.rights.record import Record
from nerf2mesh.rights.seal import Signer, read_key

__all__ = [
    "LICENSES",
    "USES",
    "License",
    "Material",
    "Record",
    "Signer",
    "Use",
    "Verdict",
    "check",
    "gate_table",
    "judged",
    "license_of",
    "read_key",
]
