"""Nested values with tensors in one safetensors file that carries its own SHA-256.

The tensors lie in the file under numbers. The header's metadata have one entry, MARK: 64 hexadecimal digits, then the
values as JSON, in which a tensor is {"t": number}. The digits are the SHA-256 of the whole file with 64 zeros in their
place, so that no bit of the file can change unnoticed. A file says what it holds and cannot run anything when read.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor

MARK = "nerf2mesh.state"
_ZEROS = b"0" * 64
_START = f'"{MARK}":"'.encode()
_PICKLED = (b"PK\x03\x04", b"\x80\x02")


def pack(values: dict[str, Any]) -> bytes:
    """The file's bytes. values: dicts (keys are texts or ints), lists, tuples, tensors, numbers, texts and None."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    text = json.dumps(_to_plain(values, tensors))
    data = bytearray(save(_apart(tensors), metadata={MARK: _ZEROS.decode() + text}))
    at = data.index(_START + _ZEROS) + len(_START)
    data[at : at + 64] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def unpack(data: bytes) -> dict[str, Any]:
    """The values that `pack` was given, tensors on the CPU.

    Raises:
        ValueError: what `data` is instead; a part of a sentence, such as "a damaged file".
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if data.startswith(_PICKLED):
        raise ValueError("a pickle, as earlier versions wrote it, which can run code and is not opened")
    at = data.find(_START, 0, 8 + int.from_bytes(data[:8], "little")) + len(_START)
    if at < len(_START):
        raise ValueError("a damaged or foreign file")
    digest = hashlib.sha256(memoryview(data)[:at])
    digest.update(_ZEROS)
    digest.update(memoryview(data)[at + 64 :])
    if data[at : at + 64] != digest.hexdigest().encode():
        raise ValueError("a damaged file: its SHA-256 does not fit")
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        values = _from_plain(json.loads(header["__metadata__"][MARK][64:]), load(data))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, RuntimeError, MemoryError) as error:
        raise ValueError("a foreign file") from error
    if not isinstance(values, dict):
        raise ValueError("a foreign file")
    return values


ADAM = frozenset({"step", "exp_avg", "exp_avg_sq"})


def check_optimizer(optimizer: torch.optim.Optimizer, values: Any, names: frozenset[str] = ADAM) -> None:
    """ValueError where `values` is no `state_dict` of this optimizer: torch itself looks at the counts alone.

    names: of what it keeps of each parameter, tensors of the parameter's shape but for the scalar "step".
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    fits = isinstance(values, dict) and isinstance(values.get("state"), dict)
    if not fits or len(values["param_groups"]) != len(optimizer.param_groups):
        raise ValueError("an optimizer of other groups")
    for key, state in values["state"].items():
        known = isinstance(key, int) and 0 <= key < len(parameters) and isinstance(state, dict)
        if not known or set(state) != names or not all(_moment(state[name], name, parameters[key]) for name in names):
            raise ValueError("an optimizer's state of other shapes")
    for group, own in zip(values["param_groups"], optimizer.param_groups):
        settings = [name for name in own if name != "params"]
        if not isinstance(group, dict) or not all(_alike(group.get(name), own[name]) for name in settings):
            raise ValueError("an optimizer of other settings")


def _moment(value: Any, name: str, parameter: Tensor) -> bool:
    if name == "step":
        return isinstance(value, Tensor) and value.shape == () and 0.0 <= float(value) < 1e15
    return isinstance(value, Tensor) and value.shape == parameter.shape and value.dtype == parameter.dtype


def _alike(value: Any, own: Any) -> bool:
    """Whether it may stand for the optimizer's own setting: numbers may differ, whole numbers and others may not."""
    if isinstance(own, tuple):
        return isinstance(value, tuple) and len(value) == len(own) and all(map(_alike, value, own))
    if isinstance(own, float):
        return isinstance(value, float | int) and abs(value) < 1e30
    return type(value) is type(own) and value == own


def _to_plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` for JSON; its tensors go into `tensors`."""
    if isinstance(value, Tensor):
        name = f"{len(tensors):06d}"
        tensors[name] = value.detach().cpu().contiguous()
        return {"t": name}
    if isinstance(value, dict):
        assert all(type(key) in (str, int) for key in value), "keys that JSON can tell apart"
        return {"d": [[key, _to_plain(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"l" if isinstance(value, list) else "u": [_to_plain(item, tensors) for item in value]}
    assert value is None or isinstance(value, bool | int | float | str), f"a checkpoint cannot hold {type(value)}"
    return value


def _from_plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise TypeError("a bare list")
        return value
    ((kind, inside),) = value.items()
    if kind == "t":
        return tensors[inside]
    if kind == "d":
        found = {}
        for key, item in inside:
            if type(key) not in (str, int):
                raise TypeError("a key of another type")
            found[key] = _from_plain(item, tensors)
        return found
    items = [_from_plain(item, tensors) for item in inside]
    return items if kind == "l" else tuple(items)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, copied where they share memory, which safetensors refuses."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        at = tensor.untyped_storage().data_ptr()
        whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        apart[name] = tensor if whole and at not in seen else tensor.clone()
        seen.add(at)
    return apart
