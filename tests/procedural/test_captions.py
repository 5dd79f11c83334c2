"""Captions against scenes whose look is known, and their vocabulary."""

from __future__ import annotations

import numpy as np
import pytest

from nerf2mesh.procedural import grammar
from nerf2mesh.procedural.captions import (
    CHANNEL_ORDERS,
    NOUNS,
    WORDS,
    caption,
    caption_numbers,
    color_name,
    describe,
    unread_words,
    word_numbers,
)
from nerf2mesh.procedural.families import FAMILIES, HELD_OUT_FAMILIES
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import N_COLOR, Part

RED, BLUE = (np.concatenate([rgb, rgb, np.zeros(N_COLOR - 6)]) for rgb in ([0.9, 0.1, 0.1], [0.1, 0.2, 0.9]))


@pytest.mark.parametrize(
    ("center", "more", "words"),
    [
        ((0, 0, 0.6), {}, "of two parts, a blue part above it"),
        ((0.5, 0, -0.1), {}, "of two parts, a blue part in front of it"),
        ((-0.5, 0, 0.1), {}, "of two parts, a blue part behind it"),
        ((0.1, 0.5, -0.2), {"mirror": True}, "of three parts, a blue part beside it"),
        ((0.3, 0.3, -0.6), {"mirror": True, "fold": True}, "of five parts, a blue part below it"),
        ((0, 0, 0), {}, "of two parts, a blue part around it"),
    ],
)
def test_relations_and_counts(center: tuple, more: dict, words: str) -> None:
    parts = [Part(size=(0.5, 0.5, 0.5), color=RED), Part(center=center, size=(0.1, 0.1, 0.1), color=BLUE, **more)]
    parts.append(Part(size=(0.9, 0.9, 0.9), cut=True, color=BLUE))
    drawn = grammar.Drawn("animal", parts, np.eye(3), np.zeros(5), 1.0)
    assert describe(drawn) == f"a red animal {words}"
    assert describe(drawn, (2, 1, 0)) == f"a blue animal {words}".replace("a blue part", "a red part")


def test_colors_have_their_names() -> None:
    known = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "cyan": (0, 1, 1),
             "orange": (1, 0.5, 0), "brown": (0.45, 0.25, 0.1), "purple": (0.5, 0, 0.9), "pink": (1, 0.3, 0.8),
             "white": (1, 1, 1), "grey": (0.5, 0.5, 0.5), "black": (0.05, 0.05, 0.1)}  # fmt: skip
    assert {name: color_name(np.array(rgb)) for name, rgb in known.items()} == {name: name for name in known}


def test_every_caption_keeps_to_the_vocabulary() -> None:
    texts = [caption(seed) for seed in range(300)]
    assert not {word for text in texts for word in unread_words(text)}
    held_out = {word for seed in range(30) for word in unread_words(caption(seed, list(HELD_OUT_FAMILIES)))}
    assert held_out == {NOUNS[family] for family in HELD_OUT_FAMILIES}, "nobody has learnt what they are"
    assert {"patterned", "above", "beside", "many"} <= {word for text in texts for word in text.split()}
    assert set(NOUNS) == set(FAMILIES | HELD_OUT_FAMILIES)
    assert caption(7) == caption(7)


def test_a_caption_is_of_the_scene_that_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The family named is the family whose maker runs for that seed."""
    drawn = []
    for name, (make, share) in FAMILIES.items():

        def watched(rng: np.random.Generator, look: Palette, name: str = name, make: object = make) -> list[Part]:
            drawn.append(name)
            return make(rng, look)

        monkeypatch.setitem(grammar.FAMILIES, name, (watched, share))
    for seed in range(12):
        grammar.sample_scenes([seed])
        assert f" {NOUNS[drawn[-1]]} of " in caption(seed)


def test_foreign_words_are_named() -> None:
    assert unread_words("A red Animal riding the bicycle") == ["riding", "the", "bicycle"]


def test_numbers_keep_the_clauses_apart() -> None:
    red, blue, vessel, above = (WORDS.index(word) + 1 for word in ("red", "blue", "vessel", "above"))
    later = len(WORDS)
    assert word_numbers("A red vessel, a blue part above it") == [red, vessel, blue + later, above + later]
    assert word_numbers("a bicycle of it") == []


def test_words_that_nothing_was_learnt_about_are_not_read() -> None:
    """A relation before the comma, a kind after it, a held-out kind: no training caption has them there."""
    assert unread_words("a red vessel of two parts, a blue part in front of it") == []
    assert unread_words("the red lamp above a plate, a green bird behind it") == ["the", "lamp", "above", "bird"]
    assert word_numbers("a lamp above it") == []


def test_numbers_are_those_of_weights_that_exist() -> None:
    """Weights know the words by number: this order stays."""
    assert " ".join(WORDS) == (
        "black grey white red orange brown yellow green cyan blue purple pink "
        "shape animal bird figure vessel furniture vehicle fruit plate lamp house guitar "
        "one two three four five six seven eight nine ten eleven twelve many patterned "
        "above below front behind beside around"
    )


def test_caption_numbers_of_every_order_of_the_channels() -> None:
    scenes = [grammar.draw_scene(seed) for seed in range(60)]
    tumbled = [np.isnan(scene.front_deg) for scene in scenes]
    assert any(tumbled)
    for scene, without in zip(scenes, tumbled, strict=True):
        for row, channels in zip(caption_numbers(scene), CHANNEL_ORDERS, strict=True):
            assert [n for n in row if n] == ([] if without else word_numbers(describe(scene, channels)))
