import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from playground.runs.store import checkpoints
from playground.runs.store.checkpoints import (
    DamagedError,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_snapshot,
    steps,
    verify,
)  # fmt: skip

SHAPES = {"a.weight": (3, 4), "b": (5,)}


def tensors(seed: int) -> dict[str, dict[str, Tensor]]:
    random = torch.Generator().manual_seed(seed)
    model = {name: torch.randn(shape, generator=random) for name, shape in SHAPES.items()}
    moments = {f"{name}/exp_avg": torch.randn(shape, generator=random) for name, shape in SHAPES.items()}
    return {"model": model, "optimizer": {**moments, "b/step": torch.tensor(float(seed))}}


def save(run: Path, step: int) -> None:
    save_checkpoint(run, tensors(step), {"step": step, "tokens": step * 10, "seconds": 0.1 * step})


def same(found: dict[str, dict[str, Tensor]], expected: dict[str, dict[str, Tensor]]) -> bool:
    return {part: set(values) for part, values in found.items()} == {
        part: set(values) for part, values in expected.items()
    } and all(
        torch.equal(found[part][name], value) for part, values in expected.items() for name, value in values.items()
    )


def files(run: Path, step: int) -> list[Path]:
    return sorted((run / "checkpoints" / f"step_{step:08d}").iterdir())


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    save(tmp_path, 7)
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.counters, found.notes) == (7, {"step": 7, "tokens": 70, "seconds": 0.1 * 7}, [])
    assert same(found.tensors, tensors(7))


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        save(tmp_path, step)
    assert steps(tmp_path, "checkpoints") == [30, 40]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["step_00000030", "step_00000040"]


def test_a_checkpoint_before_the_first_step_has_no_moments(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"model": tensors(0)["model"], "optimizer": {}}, {"step": 0})
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.tensors["optimizer"] == {}


def test_every_flipped_bit_is_noticed_and_the_one_before_is_used(tmp_path: Path) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    rng = random.Random(0)
    for number in range(100):
        path = files(tmp_path, 20)[number % 3]
        good = path.read_bytes()
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        found = load_checkpoint(tmp_path)
        assert found is not None
        assert found.step == 10, path.name
        assert found.notes[0].startswith("The checkpoint of step 20 is damaged: ")
        assert str(tmp_path) not in found.notes[0]
        assert same(found.tensors, tensors(10))
        path.write_bytes(good)
    assert load_checkpoint(tmp_path).step == 20  # type: ignore[union-attr]


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    rng = random.Random(0)
    for path in files(tmp_path, 20):
        good = path.read_bytes()
        for cut in {0, 1, len(good) - 1, *(rng.randrange(len(good)) for _ in range(61))}:
            path.write_bytes(good[:cut])
            assert load_checkpoint(tmp_path).step == 10  # type: ignore[union-attr]
            assert 20 not in steps(tmp_path, "checkpoints")
        path.write_bytes(good)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "manifest.json"])
def test_a_missing_file_is_noticed(tmp_path: Path, name: str) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    (tmp_path / "checkpoints" / "step_00000020" / name).unlink()
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 10
    assert "missing" in found.notes[0]


def test_when_all_are_damaged_there_is_only_the_beginning(tmp_path: Path) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    for step in (10, 20):
        os.truncate(files(tmp_path, step)[1], 5)
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.tensors, len(found.notes)) == (0, {}, 2)


def test_the_same_step_again_replaces_a_damaged_one(tmp_path: Path) -> None:
    save(tmp_path, 20)
    os.truncate(files(tmp_path, 20)[1], 5)
    save(tmp_path, 20)
    assert load_checkpoint(tmp_path).step == 20  # type: ignore[union-attr]
    assert os.listdir(tmp_path / "checkpoints") == ["step_00000020"]


def test_a_manifest_cannot_point_elsewhere(tmp_path: Path) -> None:
    save(tmp_path, 20)
    path = tmp_path / "checkpoints" / "step_00000020" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["checksum"]
    manifest["files"]["../../secret.safetensors"] = manifest["files"]["model.safetensors"]
    path.write_text(json.dumps(manifest | {"checksum": checkpoints._checksum(manifest)}))
    with pytest.raises(DamagedError, match="does not belong there"):
        verify(path.parent)


class Killed(BaseException):
    """Stands for SIGKILL: after it, not even clean-up code has an effect."""


class Killer:
    """Lets the process "die" at its n-th change of the file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
        self.left, self.dead = n, False
        for module, name in (
            (os, "rename"), (os, "replace"), (os, "fsync"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"), (shutil, "rmtree"),
            (checkpoints, "save_file"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, self.guard(getattr(module, name)))

    def guard(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.dead = self.dead or self.left == 0
            if self.dead:
                raise Killed
            self.left -= 1
            return function(*args, **kwargs)

        return guarded


def test_killed_at_any_moment_a_checkpoint_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    """Each rename, fsync, write and removal of a save that also prunes, and of one that replaces a damaged step."""
    for damaged in (False, True):
        moments = 0
        while True:
            run = tmp_path / f"{damaged}{moments}"
            run.mkdir()
            save(run, 10)
            save(run, 20)
            if damaged:
                save(run, 30)
                os.truncate(files(run, 30)[1], 9)
            with pytest.MonkeyPatch.context() as patch:
                killer = Killer(patch, moments)
                try:
                    save(run, 30)
                except Killed:
                    assert killer.dead
            found = load_checkpoint(run)
            assert found is not None
            assert found.step in (20, 30)
            assert same(found.tensors, tensors(found.step))
            save(run, 40)  # and life goes on
            assert load_checkpoint(run).step == 40  # type: ignore[union-attr]
            if not killer.dead:
                assert found.step == 30
                break
            moments += 1
        assert moments > 15


@pytest.mark.parametrize(("precision", "bits"), [("float32", 24), ("float16", 11), ("bfloat16", 8)])
def test_snapshots_load_as_float32_at_the_precision_they_were_kept(tmp_path: Path, precision: Any, bits: int) -> None:
    weights = tensors(3)["model"]
    for step in range(5):
        save_snapshot(tmp_path, weights, {"step": step}, precision)
    assert steps(tmp_path, "snapshots") == [0, 1, 2, 3, 4]
    found = load_weights(tmp_path, 3, SHAPES)
    for name, weight in weights.items():
        assert found[name].dtype == torch.float32
        assert ((found[name] - weight).abs() <= weight.abs() * 2.0**-bits).all()
    manifest = json.loads((tmp_path / "snapshots" / "step_00000003" / "manifest.json").read_text())
    assert manifest["dtype"] == precision


def test_weights_come_from_either_kind(tmp_path: Path) -> None:
    save(tmp_path, 10)
    save_snapshot(tmp_path, tensors(10)["model"], {"step": 10})
    assert torch.equal(load_weights(tmp_path, 10, SHAPES)["b"], tensors(10)["model"]["b"])
    os.truncate(files(tmp_path, 10)[1], 5)
    assert torch.equal(load_weights(tmp_path, 10, SHAPES)["b"], tensors(10)["model"]["b"])
    with pytest.raises(DamagedError, match="step 11 cannot be used: it no longer exists"):
        load_weights(tmp_path, 11, SHAPES)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({**SHAPES, "b": (6,)}, r"tensor 'b' is 5, expected 6"),
        ({**SHAPES, "a.weight": (4, 3)}, r"tensor 'a.weight' is 3x4, expected 4x3"),
        ({"b": (5,)}, r"tensor 'a.weight' is unknown to this model"),
        ({**SHAPES, "c": (1,)}, r"tensor 'c' is missing"),
    ],
)
def test_weights_must_fit(tmp_path: Path, shapes: dict[str, tuple[int, ...]], message: str) -> None:
    save(tmp_path, 10)
    with pytest.raises(DamagedError, match=message):
        load_weights(tmp_path, 10, shapes)
