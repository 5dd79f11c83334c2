"""What a picture's file says beside its pixels about people and places: EXIF, XMP, IPTC, and the texts of PNG.

Only fields that are meant for a person's name count (author, artist, by-line, owner, person in the picture ...), and
positions; names in other texts are not looked for.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import ExifTags, Image, IptcImagePlugin
from PIL.ImageFile import ImageFile

from nerf2mesh.inputs.picture import read_picture
from nerf2mesh.utils.atomic_write import atomic_write

MOST = 200
"""Letters of a value that are shown."""
_TEXTS = (
    "author",
    "artist",
    "creator",
    "copyright",
    "owner",
    "by-line",
    "photographer",
    "xpauthor",
    "credit",
    "writer",
)
_EXIF = {315: "Artist", 33432: "Copyright", 40093: "XPAuthor", 42032: "CameraOwnerName", 316: "HostComputer"}
_IPTC = {80: "By-line", 110: "Credit", 116: "Copyright notice", 118: "Contact", 122: "Writer"}
_XMP = re.compile(
    rb"<(dc:creator|dc:rights|photoshop:Credit|photoshop:CaptionWriter|Iptc4xmpExt:PersonInImage|mwg-rs:Name"
    rb"|aux:OwnerName|exifEX:CameraOwnerName|xmpRights:Owner|plus:ImageCreatorName)\b[^>]*>(.{0,2000}?)</\1>",
    re.DOTALL,
)
_XMP_SHORT = re.compile(
    rb"\b(photoshop:Credit|photoshop:CaptionWriter|mwg-rs:Name|aux:OwnerName|exifEX:CameraOwnerName)=\"([^\"]{1,500})\""
)


def names_in(image: ImageFile) -> dict[str, str]:
    """Field -> what stands there, for the fields of an opened picture that name people; damaged ones say nothing."""
    found: dict[str, str] = {}
    for read in (_of_exif, _of_xmp, _of_iptc, _of_texts):
        try:
            found |= {field: _clean(value) for field, value in read(image).items()}
        except Exception:  # Pillow's readers raise whatever the bytes lead them to
            continue
    return {field: value for field, value in found.items() if value}


def has_place(image: ImageFile) -> bool:
    """Whether EXIF says where the picture was taken."""
    try:
        return bool(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))
    except Exception:
        return False


def write_without(source: Path, target: Path) -> Path:
    """The picture as it is read for training (upright, sRGB, 8 bits a channel), as a PNG without any metadata."""
    picture = read_picture(source, working_side_px=8192)
    channels = 4 if picture.has_alpha else 3
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as part:
        Image.fromarray(picture.rgba[..., :channels].copy()).save(part, "PNG")
    return target


def _of_exif(image: ImageFile) -> dict[str, object]:
    exif = image.getexif()
    both = dict(exif) | dict(exif.get_ifd(ExifTags.IFD.Exif))
    return {f"EXIF {name}": both[tag] for tag, name in _EXIF.items() if tag in both}


def _of_xmp(image: ImageFile) -> dict[str, object]:
    data = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    data = data.encode("utf-8", "replace") if isinstance(data, str) else data
    found: dict[str, object] = {}
    for name, value in (*_XMP.findall(data[: 1 << 22]), *_XMP_SHORT.findall(data[: 1 << 22])):
        found[f"XMP {name.decode()}"] = re.sub(rb"<[^>]*>", b" ", value)
    return found


def _of_iptc(image: ImageFile) -> dict[str, object]:
    info = IptcImagePlugin.getiptcinfo(image) or {}
    return {f"IPTC {name}": info[2, number] for number, name in _IPTC.items() if (2, number) in info}


def _of_texts(image: ImageFile) -> dict[str, object]:
    return {
        f"text {key}"[:60]: value
        for key, value in list(image.info.items())[:200]
        if isinstance(key, str) and key.casefold().strip() in _TEXTS and isinstance(value, str | bytes)
    }


def _clean(value: object) -> str:
    value = b", ".join(value) if isinstance(value, list) and all(isinstance(v, bytes) for v in value) else value
    if isinstance(value, bytes):
        wide = value[1::2].count(0) > len(value) // 4
        value = value.decode("utf-16-le" if wide else "utf-8", "replace")
    return " ".join(str(value).replace("\0", " ").split())[:MOST]


def opened(data: bytes) -> ImageFile:
    """The picture with its metadata, its pixels not read yet; for files that `read_picture` has read."""
    return Image.open(io.BytesIO(data))
