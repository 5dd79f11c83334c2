"""Every setting has a range, and an absurd value is refused in one line that names the setting, wherever it comes from.

The settings are enumerated from the four commands' dataclasses, so that a new one without a range fails here.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nerf2mesh.config import Config, SecondConfig, load_config, to_dataclass
from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.lora.train.style import StyleTrainConfig
from nerf2mesh.normals.config import NormalsTrainConfig
from nerf2mesh.objects.train import MeshTrainConfig
from nerf2mesh.optimize import LoopState
from nerf2mesh.render import OccupancyGrid
from nerf2mesh.segmentation.config import ForegroundTrainConfig
from nerf2mesh.sweep.config import BenchConfig
from nerf2mesh.utils.config_errors import describe
from nerf2mesh.utils.range_check import Form, check_ranges, checked, form_of, hints_of
from nerf2mesh.utils.ranges import Length, Within
from nerf2mesh.viewpoint.config import ViewpointTrainConfig

ROOTS = {
    "nerf2mesh": Config,
    "bench": BenchConfig,
    "train_prior": MeshTrainConfig,
    "train_lora": StyleTrainConfig,
    "train_foreground": ForegroundTrainConfig,
    "train_viewpoint": ViewpointTrainConfig,
    "train_normals": NormalsTrainConfig,
}
ABSURD = (
    0,
    -1,
    math.nan,
    math.inf,
    -math.inf,
    10**12,
    1e300,
    "no",
    "",
    None,
    [],
    [0],
    True,
    {"a": 1},
    "\0",
    "x" * 20000,
)


def settings(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, annotation) of every setting below a class, optional groups included."""
    for name, hint in hints_of(kind).items():
        form = form_of(hint)
        if dataclasses.is_dataclass(form.kind):
            yield from settings(form.kind, f"{prefix}{name}.")
        else:
            yield prefix + name, hint


def classes(kind: type) -> Iterator[type]:
    yield kind
    for hint in hints_of(kind).values():
        if dataclasses.is_dataclass(form_of(hint).kind):
            yield from classes(form_of(hint).kind)


def composed(root: type) -> DictConfig:
    schema = OmegaConf.structured(root)
    if root is Config:
        schema.second = SecondConfig()
    OmegaConf.set_struct(schema, True)
    return schema


def test_all_settings_have_ranges() -> None:
    paths = [f"{command} {path}" for command, root in ROOTS.items() for path, _ in settings(root)]
    assert len(paths) == len(set(paths)) > 350
    assert "nerf2mesh second.distill.t_low" in paths and "train_prior data.augment.fov_deg" in paths


@pytest.mark.parametrize(
    "hint", [int, float, str, list[int], dict[str, float], tuple[float, ...], Annotated[list[float], Length(0, 3)]]
)
def test_a_setting_without_a_range_is_a_mistake_of_ours(hint: Any) -> None:
    with pytest.raises(AssertionError):
        form_of(hint)


def outcome(base: DictConfig, root: type, path: str, value: Any) -> tuple[Any, str | None]:
    """What the setting becomes on the way from a composed configuration to the dataclass, or what is said."""
    before = copy.deepcopy(OmegaConf.select(base, path))
    try:
        OmegaConf.update(base, path, value, merge=False)
        made: Any = to_dataclass(base, root)
    except OmegaConfBaseException as error:  # raised while overrides are merged; `compose_config` says it so
        return None, describe(error, root)
    except ValueError as error:
        return None, str(error)
    finally:
        OmegaConf.update(base, path, before, merge=False)
    for part in path.split("."):
        made = getattr(made, part)
    return made, None


@pytest.mark.parametrize("command", ROOTS)
def test_absurd_values_are_refused_by_name_or_within_the_range(command: str) -> None:
    """One value for each setting, by turns; the next test tries all of them."""
    root = ROOTS[command]
    base, refused = composed(root), 0
    for number, (path, hint) in enumerate(settings(root)):
        got, said = outcome(base, root, path, ABSURD[number % len(ABSURD)])
        if said is None:
            checked(path, hint, got)
            continue
        refused += 1
        assert "\n" not in said and len(said) < 400, said
        assert path.split(".")[-1] in said.split(";")[0] and "expected" in said, (path, said)
    assert refused > 20


ALL = sorted({kind for root in ROOTS.values() for kind in classes(root)}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL)
def test_absurd_values_given_to_the_class_itself(kind: type) -> None:
    """From Python: ValueError in one line, or a value that is within the range, as the plain kind."""
    for name, hint in hints_of(kind).items():
        form = form_of(hint)
        for value in (*ABSURD, object(), 1 + 2j):
            try:
                made = constructed(kind, name, value)
            except ValueError as error:
                said = str(error)
                assert "\n" not in said and "expected" in said, said
                assert name in said or name in ("model", "name"), (name, value, said)
                continue
            assert allowed(form, getattr(made, name)), (name, value)


def constructed(kind: type, name: str, value: object) -> Any:
    """`kind(name=value)` without the type checks of the test run, which users do not have."""
    made = object.__new__(kind)
    for item in dataclasses.fields(kind):
        by_default = item.default if item.default is not dataclasses.MISSING else item.default_factory()
        object.__setattr__(made, item.name, value if item.name == name else by_default)
    made.__post_init__()
    return made


def allowed(form: Form, value: object) -> bool:
    kinds = {float: float, int: int, bool: bool, str: str, tuple: tuple, list: list, dict: dict}
    return (value is None and form.optional) or form.kind is Any or type(value) is kinds[form.kind]


def test_the_whole_path_is_said() -> None:
    for override, said in (
        ("second.distill.n_views=0", r"^second\.distill\.n_views: expected an integer of 1 to 1,024, got 0; "),
        ("distill.t_high=[0.5,7]", r"^distill\.t_high\[1\]: expected a number from 0 to 1, got 7; "),
        (
            "+optimize.ramps.weight_mask=[0,nan,1,1]",
            r"^optimize\.ramps\.weight_mask\[1\]: expected a number .* got nan; ",
        ),
        ("optimize.steps=1e12", r"^optimize\.steps: expected an integer of 1 to 10,000,000, got '1000000000000\.0'; "),
    ):
        with pytest.raises(ValueError, match=said):
            load_config(["experiment=magic123", override])


def test_values_at_the_ends_of_ranges() -> None:
    @dataclasses.dataclass
    class Some:
        share: Annotated[float, Within(0.0, 1.0, above=True)] = 1.0
        budget: Annotated[int, Within(20, 40, also=(0,), multiple=2)] = 0
        pair: tuple[Annotated[int, Within(0, 3)], Annotated[int, Within(0, 3)]] = (0, 3)

    for accepted in ({}, {"share": 1e-9}, {"budget": 20}, {"budget": 40}, {"pair": [1, 2]}, {"share": 1}):
        some = Some(**accepted)
        check_ranges(some)
        assert type(some.pair) is tuple and type(some.share) is float
    for refused in (
        {"share": 0.0},
        {"share": 1.0001},
        {"budget": 21},
        {"budget": 42},
        {"budget": True},
        {"pair": (0, 4)},
    ):
        with pytest.raises(ValueError, match=rf"^some\.{next(iter(refused))}"):
            check_ranges(Some(**refused), "some.")


def test_numbers_of_other_libraries_become_plain() -> None:
    import numpy as np

    some = dataclasses.replace(load_config(["preset=tiny"]).optimize, steps=np.int64(7), lr_network=np.float32(0.5))
    assert type(some.steps) is int and type(some.lr_network) is float and some.lr_network == 0.5


def test_the_largest_seed_still_has_streams() -> None:
    config = load_config([f"seed={2**40}"])
    state = LoopState.fresh(
        HashGridField(FieldConfig(n_levels=2, log2_table_size=6)), OccupancyGrid(8), 1e-2, 1e-3, config.seed
    )
    assert len({generator.initial_seed() for generator in state.generators.values()}) == len(state.generators)
    with pytest.raises(ValueError, match=r"^seed: expected an integer of 0 to "):
        load_config([f"seed={2**63 - 1}"])
