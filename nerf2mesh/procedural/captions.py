"""What a procedural scene shows, in a closed vocabulary: color, kind, count of parts, and where another color lies.

    an orange patterned animal of ten parts, a black part above it

Relations are in the object's own frame, before it is turned: its front is in front, its up above. Colors are those of
the base color without light. A text condition trained on these captions knows the words of WORDS and no others.

A network reads the words as numbers: 0 is nothing, words before the first comma are 1 ... n, and the same words after
it n + 1 ... 2 n, so that two colors are told apart. WORDS fixes their order; weights know words by number alone.
"""

from __future__ import annotations

import colorsys
import re
from itertools import permutations

import numpy as np

from nerf2mesh.procedural.families import FAMILIES
from nerf2mesh.procedural.grammar import Drawn, draw_scene
from nerf2mesh.procedural.parts import N_WAVES, Part

NOUNS = {
    "rubble": "shape", "animal": "animal", "bird": "bird", "figure": "figure", "vessel": "vessel",
    "furniture": "furniture", "vehicle": "vehicle", "fruit": "fruit", "plate": "plate", "lamp": "lamp",
    "house": "house", "guitar": "guitar",
}  # fmt: skip
"""Family -> word."""
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MANY = "many"
COLORS = ("black", "grey", "white", "red", "orange", "brown", "yellow", "green", "cyan", "blue", "purple", "pink")
RELATIONS = ("above", "below", "in front of", "behind", "beside", "around")
_SILENT = frozenset(["a", "an", "of", "part", "parts", "it", "in"])
"""Words that say nothing on their own; they have no number."""
WORDS = tuple(dict.fromkeys(
    word for word in " ".join([*COLORS, *NOUNS.values(), *COUNTS[1:], MANY, "patterned", *RELATIONS]).split()
    if word not in _SILENT
))  # fmt: skip
"""The words with a number, in their order. To change it is to make all weights that read words foreign."""
N_WORDS = 2 * len(WORDS)
CAPTION_WORDS = 6
"""Most numbers in a caption: color, pattern, kind, count; color and relation of another part."""
CHANNEL_ORDERS = tuple(permutations(range(3)))
_NUMBER = {word: i + 1 for i, word in enumerate(WORDS)}
_SECOND = frozenset(COLORS) | {word for relation in RELATIONS for word in relation.split()} - _SILENT
_FIRST = frozenset([*COLORS, *COUNTS[1:], MANY, "patterned", *(NOUNS[family] for family in FAMILIES)])
"""What training captions have before the first comma, as _SECOND after it: held-out kinds are not learnt."""
READ = (f"{', '.join(COLORS)}; patterned; {', '.join(NOUNS[family] for family in FAMILIES)}; one ... twelve, many; "
        f"after a comma a color and {', '.join(RELATIONS)}")  # fmt: skip
"""The words that are learnt, for messages."""
_HUES = ((15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (195, "cyan"), (260, "blue"), (295, "purple"),
         (345, "pink"), (361, "red"))  # fmt: skip
"""Upper ends in degrees."""
_CLOSE = 0.08
"""Centers nearer than this, in scene units, have no direction between them."""


def caption(seed: int, families: list[str] | None = None) -> str:
    """The caption of a seed, as `grammar.sample_scenes` draws it."""
    return describe(draw_scene(seed, families))


def describe(drawn: Drawn, channels: tuple[int, ...] = (0, 1, 2)) -> str:
    """The caption of a scene whose new color channels are the old ones number `channels`."""
    solid = [part for part in drawn.parts if not part.cut]
    volume = [_volume(part) for part in solid]
    colors = [color_name([part.color[channel] for channel in channels]) for part in solid]
    main = int(np.argmax(volume))
    count = sum(_copies(part) for part in solid)
    number = COUNTS[count] if count < len(COUNTS) else MANY
    look = colors[main] + (" patterned" if _patterned(solid[main]) else "")
    text = f"{_article(look)} {look} {NOUNS[drawn.family]} of {number} {'part' if count == 1 else 'parts'}"
    others = [i for i in range(len(solid)) if colors[i] != colors[main]]
    if not others:
        return text
    other = max(others, key=lambda i: volume[i])
    color = colors[other]
    return f"{text}, {_article(color)} {color} part {_relation(solid[other], solid[main])} it"


def caption_numbers(drawn: Drawn) -> np.ndarray:
    """The numbers of a scene's caption under each of CHANNEL_ORDERS, [6, CAPTION_WORDS], filled up with 0.

    A tumbled scene has none, since its relations are in a frame that no picture shows.
    """
    numbers = np.zeros((len(CHANNEL_ORDERS), CAPTION_WORDS), dtype=np.uint8)
    if not np.isnan(drawn.front_deg):
        for row, channels in zip(numbers, CHANNEL_ORDERS, strict=True):
            found = word_numbers(describe(drawn, channels))
            row[: len(found)] = found
    return numbers


def word_numbers(text: str) -> list[int]:
    """The numbers of the words of a caption or a prompt, in their order; of those alone that a network learns."""
    return [number for _, number in _numbered(text) if number]


def unread_words(prompt: str) -> list[str]:
    """The words of a prompt that have no number where they stand, but for silent ones."""
    return [word for word, number in _numbered(prompt) if not number and word not in _SILENT]


def _numbered(text: str) -> list[tuple[str, int]]:
    """Each word with its number; 0 where there is none, or where no caption of a training scene has the word."""
    main, _, more = text.lower().partition(",")
    first = [(word, _NUMBER[word] if word in _FIRST else 0) for word in _split(main)]
    return first + [(word, _NUMBER[word] + len(WORDS) if word in _SECOND else 0) for word in _split(more)]


def _split(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


def color_name(rgb: np.ndarray | list[float]) -> str:
    """The word for an sRGB color [3] in [0, 1], out of COLORS."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(v) for v in rgb))
    if value < 0.2:
        return "black"
    if saturation < 0.15:
        return "white" if value > 0.8 else "grey"
    name = next(word for end, word in _HUES if hue * 360 < end)
    return "brown" if name == "orange" and value < 0.6 else name


def _relation(part: Part, main: Part) -> str:
    """Where `part` lies as seen from `main`; copies on both sides are beside, or before and behind, or around."""
    x, y, z = np.asarray(part.center, dtype=float) - np.asarray(main.center, dtype=float)
    side = abs(part.center[1]) if part.mirror else abs(y)
    length = abs(part.center[0]) if part.fold else abs(x)
    if max(side, length, abs(z)) < _CLOSE:
        return "around"
    if abs(z) >= max(side, length):
        return "above" if z > 0 else "below"
    if side > length:
        return "beside"
    return "around" if part.fold else "in front of" if x > 0 else "behind"


def _volume(part: Part) -> float:
    return float(np.prod(part.size)) * _copies(part)


def _copies(part: Part) -> int:
    return 2 ** (bool(part.mirror) + bool(part.fold))


def _patterned(part: Part) -> bool:
    return bool(np.any(part.color[10 : 6 + 5 * N_WAVES : 5]))


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"
