"""Where each kind of file carries the record and its seal, and where their bytes are.

    .glb    KHR_xmp_json_ld: n2m:record and n2m:seal in the packet of the asset; again in the extras of the first scene,
            which some programs keep when they write the file anew
    .usdz   customLayerData of the first layer: nerf2mesh_record, nerf2mesh_seal
    .obj    comments before the first element: # nerf2mesh-record PART, ..., # nerf2mesh-seal SEAL
    .ply    the same as comment lines of the header
    .png    text chunks nerf2mesh:record (iTXt) and nerf2mesh:seal (tEXt)

The record is JSON in ASCII; the seal is 64 and 128 hexadecimal digits with a dot between them (see `seal`). Files may
be a stranger's: what is damaged is a ValueError of one line, and no size in a file is believed.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

SEAL = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{128}")
MOST_RECORD = 4 << 20
"""Characters of a record, and bytes of the lines and chunks that hold one."""
RECORD_KEY, SEAL_KEY = "n2m:record", "n2m:seal"
RECORD_NAME, SEAL_NAME = "nerf2mesh_record", "nerf2mesh_seal"
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_USD_STRING = rb'string %s = "((?:[^"\\]|\\.)*)"'


@dataclass(frozen=True)
class Carried:
    """A file's record as text, its seal ("" where there is none), and the part of the file in which the seal stands."""

    text: str
    seal: str
    start: int
    end: int
    is_copy: bool = False
    """True: read from the extras of a scene alone; another program has written the file."""


def find(data: bytes, suffix: str) -> Carried | None:
    """What a file carries; None where it has no record.

    Raises:
        ValueError: the file is damaged, or of a kind that carries no record.
    """
    try:
        found = _FINDERS[suffix](data)
    except KeyError as error:
        raise ValueError(f"file: expected one of {', '.join(CARRIERS)}, got {suffix or 'no ending'}") from error
    except (struct.error, IndexError, UnicodeDecodeError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError(f"file: expected a whole {suffix[1:]} file, got a damaged one") from error
    if found is not None and (len(found.text) > MOST_RECORD or not found.text.isascii()):
        raise ValueError("file: expected a record in ASCII of at most 4 MB, got another; it is none of ours")
    return found


def mend(data: bytes, suffix: str) -> bytes:
    """The file with the checksums of its container computed anew where they cover the record."""
    if suffix == ".png":
        return _mend_png(data)
    return _mend_usdz(data) if suffix == ".usdz" else data


def comment_lines(text: str, seal: str, mark: str, width: int = 240) -> list[str]:
    """The record and its seal as comments of OBJ (mark "#") or PLY (mark "comment")."""
    parts = [text[i : i + width] for i in range(0, len(text), width)]
    return [*(f"{mark} nerf2mesh-record {part}" for part in parts), f"{mark} nerf2mesh-seal {seal}"]


def png_chunks(text: str, seal: str) -> bytes:
    """The two text chunks, to be put behind the IHDR chunk."""
    return _chunk(b"iTXt", b"nerf2mesh:record\0\0\0\0\0" + text.encode("ascii")) + _chunk(
        b"tEXt", b"nerf2mesh:seal\0" + seal.encode("ascii")
    )


def usd_string(text: str) -> str:
    """A quoted string of a text layer."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _find_glb(data: bytes) -> Carried | None:
    magic, version, total, size, kind = struct.unpack_from("<4sIII4s", data)
    if magic != b"glTF" or version != 2 or total != len(data) or kind != b"JSON" or 20 + size > total:
        raise ValueError("file: expected a whole glTF 2.0 binary, got another")
    try:
        tree = json.loads(data[20 : 20 + size])
    except ValueError as error:
        raise ValueError("file: expected JSON in the first chunk, got a damaged one") from error
    packet = _packet(tree)
    if isinstance(packet.get(RECORD_KEY), str):
        return Carried(packet[RECORD_KEY], _seal(packet.get(SEAL_KEY)), 20, 20 + size)
    scenes = tree.get("scenes")
    extras = scenes[0].get("extras") if isinstance(scenes, list) and scenes else None
    if isinstance(extras, dict) and isinstance(extras.get(RECORD_NAME), str):
        return Carried(extras[RECORD_NAME], _seal(extras.get(SEAL_NAME)), 20, 20 + size, is_copy=True)
    return None


def _packet(tree: Any) -> dict[str, Any]:
    """The XMP packet that the asset refers to; {} where there is none."""
    try:
        index = tree["asset"]["extensions"]["KHR_xmp_json_ld"]["packet"]
        packet = tree["extensions"]["KHR_xmp_json_ld"]["packets"][index]
    except (KeyError, IndexError, TypeError):
        return {}
    return packet if isinstance(packet, dict) else {}


def _find_usdz(data: bytes) -> Carried | None:
    start, end = _first_layer(data)
    head = data[start : min(end, start + 2 * MOST_RECORD)]
    texts = [re.search(_USD_STRING % name.encode(), head) for name in (RECORD_NAME, SEAL_NAME)]
    if texts[0] is None:
        return None
    record, seal = (re.sub(r"\\(.)", r"\1", found[1].decode("ascii")) if found else "" for found in texts)
    return Carried(record, _seal(seal), start, end)


def _first_layer(data: bytes) -> tuple[int, int]:
    """Where the bytes of the first entry are, which is the layer, stored as it is."""
    magic, method, _, packed, size, n_name, n_extra = struct.unpack_from("<4s4xH4xIIIHH", data)
    start = 30 + n_name + n_extra
    name = data[30 : 30 + n_name]
    if magic != b"PK\3\4" or method != 0 or packed != size or start + size > len(data) or not name.endswith(b".usda"):
        raise ValueError("file: expected a USDZ whose first entry is a stored text layer, got another")
    return start, start + size


def _mend_usdz(data: bytes) -> bytes:
    """CRC-32 of the first entry in its own header and in the central directory."""
    start, end = _first_layer(data)
    directory = data.rfind(b"PK\5\6")
    (place,) = struct.unpack_from("<I", data, directory + 16)
    if directory < 0 or data[place : place + 4] != b"PK\1\2":
        raise ValueError("file: expected a USDZ with its directory, got a damaged one")
    check = struct.pack("<I", zlib.crc32(data[start:end]))
    mended = bytearray(data)
    mended[14:18] = mended[place + 16 : place + 20] = check
    return bytes(mended)


def _find_comments(mark: bytes, end_mark: bytes, data: bytes) -> Carried | None:
    """The record in the comment lines at the head of a text."""
    end, parts, seal = 0, [], ""
    record, sealed = mark + b" nerf2mesh-record ", mark + b" nerf2mesh-seal "
    while 0 <= end < min(len(data), 2 * MOST_RECORD):
        stop = data.find(b"\n", end, end + MOST_RECORD)
        line = data[end : stop if stop >= 0 else end]
        if stop < 0 or line == end_mark or (mark == b"#" and not line.startswith(b"#")):
            break
        if line.startswith(record):
            parts.append(line[len(record) :])
        elif line.startswith(sealed):
            seal = _seal(line[len(sealed) :].decode("ascii"))
        end = stop + 1
    return Carried(b"".join(parts).decode("ascii"), seal, 0, end) if parts else None


def _find_png(data: bytes) -> Carried | None:
    text, seal, end = None, "", 0
    for kind, start, stop in _chunks(data):
        keyword, _, rest = data[start:stop].partition(b"\0")
        if kind == b"iTXt" and keyword == b"nerf2mesh:record":
            text = rest[4:].decode("ascii")
        elif kind == b"tEXt" and keyword == b"nerf2mesh:seal":
            seal, end = _seal(rest.decode("ascii")), stop
    return Carried(text, seal, 0, end or len(data)) if text is not None else None


def _mend_png(data: bytes) -> bytes:
    mended = bytearray(data)
    for kind, start, stop in _chunks(data):
        if kind in (b"iTXt", b"tEXt"):
            mended[stop : stop + 4] = struct.pack(">I", zlib.crc32(data[start - 4 : stop]))
    return bytes(mended)


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """(kind, start, end) of the content of each chunk before the picture's own bytes."""
    if not data.startswith(PNG_HEAD):
        raise ValueError("file: expected a PNG, got another")
    found, place = [], len(PNG_HEAD)
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IDAT":
            return found
        if place + 12 + size > len(data):
            raise ValueError("file: expected a whole PNG, got a cut one")
        found.append((kind, place + 8, place + 8 + size))
        place += 12 + size
    raise ValueError("file: expected a whole PNG, got one without a picture")


def _chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _seal(text: object) -> str:
    return text if isinstance(text, str) and SEAL.fullmatch(text) else ""


_FINDERS = {
    ".glb": _find_glb,
    ".usdz": _find_usdz,
    ".obj": lambda data: _find_comments(b"#", b"", data),
    ".ply": lambda data: _find_comments(b"comment", b"end_header", data),
    ".png": _find_png,
}
CARRIERS = tuple(_FINDERS)
