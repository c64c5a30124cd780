"""One command makes all that ships."""

from __future__ import annotations

import pytest

from playground.reference import __main__ as everything


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    calls: list[tuple[str, list[str]]] = []
    for kind, module in everything.KINDS.items():
        monkeypatch.setattr(module, "main", lambda arguments, kind=kind: calls.append((kind, arguments)))
    return calls


def test_every_kind_is_made_into_one_gallery(made: list[tuple[str, list[str]]]) -> None:
    everything.main(["--root", "here"])
    assert made == [(kind, ["--root", "here"]) for kind in ("runs", "sinks", "races", "bands")]


def test_kinds_are_chosen_by_name_and_an_unknown_one_makes_nothing(
    made: list[tuple[str, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    everything.main(["bands", "--root", "here"])
    assert made == [("bands", ["--root", "here"])]
    with pytest.raises(SystemExit):
        everything.main(["bands", "weights"])
    assert "there is no kind weights; choose from runs, sinks, races, bands" in capsys.readouterr().err
    assert len(made) == 1
