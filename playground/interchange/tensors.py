"""Reading weights from untrusted safetensors files: the header is validated completely before any weight is read.

The format is 8 bytes of little-endian length, a JSON object (name -> dtype, shape, offsets), then the data. The
safetensors library checks that the offsets fit the file; it accepts duplicate names, shapes of 2^62, headers of hundreds
of megabytes and values that are not finite. Here each of these is an error.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from playground.config import MOST_SIZE, counted
from playground.interchange.refusal import shown, signature

MAX_HEADER_BYTES = 8_000_000  # some 50,000 entries
COMMAS = 12  # in an entry, at most: of four sizes, two ends, three keys, and one behind it
MAX_TENSORS = 30_000  # 60 layers of 128 experts, three matrices each
MAX_DIMENSION = MOST_SIZE
MAX_DIMENSIONS = 4
MAX_NAME = 200
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
MASK_DTYPES = {"BOOL": torch.bool, "U8": torch.uint8}  # of masks, which no model is made of
CHUNK = 1 << 20  # numbers that are compared at a time
_NAME = re.compile(r"[A-Za-z0-9_.\-]+")

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Place:
    """The file and byte offsets of a tensor's data."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_headers(paths: Iterable[Path]) -> dict[str, Place]:
    """The tensors of some safetensors files, by name. Raises ValueError with the first thing that is wrong.

    All offsets are within their file, match shape and dtype, and do not overlap.
    """
    found: dict[str, Place] = {}
    for path in paths:
        for name, place in read_header(path).items():
            if name in found:
                raise ValueError(f"Tensor {shown(name)} is in two files: {found[name].path.name} and {path.name}.")
            found[name] = place
    if len(found) > MAX_TENSORS:
        raise ValueError(f"The files hold {counted(len(found), 'tensor')}; the limit is {MAX_TENSORS:,}.")
    return found


def read_header(path: Path) -> dict[str, Place]:
    """`read_headers` of one file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if size < 10 or length > size - 8:
            kind = signature(start + file.read(256))
            raise ValueError(
                f"{shown(path.name)} is {kind}: only safetensors files are read."
                if kind
                else f"{shown(path.name)} is not a safetensors file, or is truncated."
            )
        if length > MAX_HEADER_BYTES:
            raise ValueError(
                f"The header of {shown(path.name)} has {counted(length, 'byte')}; the limit is {MAX_HEADER_BYTES:,}."
            )
        header = file.read(length)
    if header.count(b",") > COMMAS * MAX_TENSORS:  # before parsing: JSON can take many times its size in memory
        raise ValueError(f"The header of {shown(path.name)} is not a table of tensors.")
    places = dict(_places(path, header, 8 + length))
    _check_coverage(path, places, 8 + length, size)
    return places


def _places(path: Path, header: bytes, data: int) -> Iterator[tuple[str, Place]]:
    try:
        values = json.loads(header.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"The header of {shown(path.name)} is nested too deeply.") from None
    except _TwiceError as twice:
        raise ValueError(f"The header of {shown(path.name)} names {twice} twice.") from None
    except ValueError:  # also what is not UTF-8, and numbers of thousands of digits
        raise ValueError(f"The header of {shown(path.name)} is not JSON: the file is damaged.") from None
    if not isinstance(values, dict):
        raise ValueError(f"The header of {shown(path.name)} is not a table of tensors.")
    values.pop("__metadata__", None)
    if not values or len(values) > MAX_TENSORS:
        raise ValueError(
            f"{shown(path.name)} holds {counted(len(values), 'tensor')}; 1 to {MAX_TENSORS:,} are allowed."
        )
    for name, entry in values.items():
        yield name, _place(path, name, entry, data)


class _TwiceError(ValueError):
    """A name that occurs twice in one JSON object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _TwiceError(shown(next(name for name, count in counts.items() if count > 1)))
    return values


def _place(path: Path, name: str, entry: Any, data: int) -> Place:
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise ValueError(f"Tensor name {shown(name)} is not one that a model has.")
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, place = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPES | MASK_DTYPES:
        raise ValueError(_unread(name, dtype))
    if not _whole(shape, MAX_DIMENSION) or len(shape) > MAX_DIMENSIONS or 0 in shape:
        raise ValueError(
            f"Tensor {shown(name)} has the shape {shown(shape)}; at most {MAX_DIMENSIONS} dimensions of 1 to "
            f"{MAX_DIMENSION:,} are allowed."
        )
    if not _whole(place, 2**48) or len(place) != 2:
        raise ValueError(f"The place of tensor {shown(name)} in the file, {shown(place)}, is invalid.")
    expected = math.prod(shape) * (DTYPES | MASK_DTYPES)[dtype].itemsize
    if place[1] - place[0] != expected:
        raise ValueError(
            f"Tensor {shown(name)} takes {counted(place[1] - place[0], 'byte')}; its shape and type need {expected:,}."
        )
    return Place(path, dtype, tuple(shape), data + place[0], data + place[1])


def _unread(name: str, dtype: Any) -> str:
    return f"Tensor {shown(name)} has type {shown(dtype)}; only {', '.join(DTYPES)} are read."


def _whole(values: Any, highest: int) -> bool:
    return isinstance(values, list) and all(type(n) is int and 0 <= n <= highest for n in values)


def _check_coverage(path: Path, places: dict[str, Place], data: int, size: int) -> None:
    """The tensors must fill the file from the header to its end, each byte once."""
    at = data
    for place in sorted(places.values(), key=lambda place: place.begin):
        if place.begin != at:
            raise ValueError(f"The tensors of {shown(path.name)} overlap or leave gaps: the file is damaged.")
        at = place.end
    if at != size:
        raise ValueError(f"{shown(path.name)} has {counted(size, 'byte')}; its header accounts for {at:,}.")


def check_shapes(places: Mapping[str, Place], expected: Shapes) -> None:
    """Raise ValueError unless the files hold just the expected tensors, by name and shape."""
    for name, shape in expected.items():
        if name not in places:
            raise ValueError(f"Tensor {shown(name)} is missing: the config asks for it.")
        if places[name].shape != shape:
            raise ValueError(f"Tensor {shown(name)} is {size(places[name].shape)}; the config asks for {size(shape)}.")
    for name in places:
        if name not in expected:
            raise ValueError(
                f"Tensor {shown(name)} of {shown(places[name].path.name)} does not belong to the model that the config "
                "describes."
            )
        if places[name].dtype not in DTYPES:
            raise ValueError(_unread(name, places[name].dtype))


def size(shape: tuple[int, ...]) -> str:
    """A shape for display: 64x32."""
    return "x".join(map(str, shape)) or "a single number"


def chunks(name: str, place: Place) -> Iterator[Tensor]:
    """A tensor's numbers as float32 in one dimension, a million at a time, to limit memory."""
    dtype, begin = (DTYPES | MASK_DTYPES)[place.dtype], place.begin
    while begin < place.end:
        end = min(place.end, begin + CHUNK * dtype.itemsize)
        yield _numbers(name, place.path, dtype, begin, end).float()
        begin = end


def _numbers(name: str, path: Path, dtype: torch.dtype, begin: int, end: int) -> Tensor:
    with open(path, "rb") as file:
        file.seek(begin)
        data = bytearray(end - begin)
        if file.readinto(data) != len(data):
            raise ValueError(f"Tensor {shown(name)} could not be read: the file has changed.")
    return torch.frombuffer(data, dtype=dtype)


def read_tensor(name: str, place: Place) -> Tensor:
    """One tensor as float32. Raises ValueError for values that are not finite."""
    tensor = _numbers(name, place.path, DTYPES[place.dtype], place.begin, place.end).reshape(place.shape).float()
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"Tensor {shown(name)} holds numbers that are not finite (NaN or infinity).")
    return tensor
