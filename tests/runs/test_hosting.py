"""A host's environment variables: each does what the documentation says, and none is misunderstood in silence."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from playground.runs.limits import CLASSROOM, LOCAL, PUBLIC, Limits
from playground.runs.queue.hosting import PREFIX, VARIABLES, Hosting

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "hosting.md"


def test_who_it_is_for() -> None:
    assert Hosting.read({}) == Hosting()
    assert Hosting.read({}).limits == LOCAL
    for environment in ({"SPACE_ID": "a/b"}, {"PLAYGROUND_PUBLIC": "1"}):
        hosting = Hosting.read(environment)
        assert (hosting.public, hosting.limits, hosting.keep_days) == (True, PUBLIC, 14)
    assert Hosting.read({"PLAYGROUND_PUBLIC": "0"}).public is False
    assert Hosting.read({}, public=True).limits == PUBLIC
    classroom = Hosting.read({"PLAYGROUND_CLASSROOM": "1"})
    assert (classroom.public, classroom.limits) == (True, CLASSROOM)


def test_every_limit_can_be_set_and_lifted() -> None:
    for item in fields(Limits):
        if "help" in item.metadata:
            name = PREFIX + item.name.upper()
            assert getattr(Hosting.read({name: "7"}).limits, item.name) == 7
            assert getattr(Hosting.read({name: "none", "PLAYGROUND_PUBLIC": "1"}).limits, item.name) is None


def test_a_class() -> None:
    hosting = Hosting.read(
        {
            "PLAYGROUND_CLASSROOM": "yes",
            "PLAYGROUND_TRAIN": "owner",
            "PLAYGROUND_HOST_PASSWORD": "chalk",
            "PLAYGROUND_PASSWORD": "board",
            "PLAYGROUND_FROZEN": "learning_rate, n_layer",
            "PLAYGROUND_PINNED": "Modern on Tales, seed 1; 0b4bea9339aac0fc9d28bc9ddcd76f5d",
            "PLAYGROUND_RUN_MINUTES": "2.5",
            "PLAYGROUND_ARCHIVE": "/bucket/runs",
            "PLAYGROUND_KEEP_DAYS": "none",
        }
    )
    assert hosting.limits.frozen == ("learning_rate", "n_layer")
    assert (hosting.limits.trainers, hosting.limits.run_minutes, hosting.keep_days) == ("owner", 2.5, None)
    assert hosting.pinned == ("Modern on Tales, seed 1", "0b4bea9339aac0fc9d28bc9ddcd76f5d")
    assert (hosting.password, hosting.archive) == ("board", Path("/bucket/runs"))
    assert "chalk" not in repr(hosting)
    assert "board" not in repr(hosting)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MAX_PARAMETERS", "many", "PLAYGROUND_MAX_PARAMETERS must be a whole number above 0, or none; 'many' is not."),
        ("MAX_PARAMETERS", "1.5", "PLAYGROUND_MAX_PARAMETERS must be a whole number"),
        ("RUN_MINUTES", "-1", "PLAYGROUND_RUN_MINUTES must be a number above 0"),
        ("RUN_MINUTES", "nan", "PLAYGROUND_RUN_MINUTES must be a number above 0"),
        ("KEEP_DAYS", "x", "PLAYGROUND_KEEP_DAYS must be a number above 0"),
        ("CLASSROOM", "maybe", "PLAYGROUND_CLASSROOM must be 1 or 0; 'maybe' is neither."),
        ("TRAIN", "me", "PLAYGROUND_TRAIN must be one of everyone, owner, nobody; 'me' is not."),
        ("TRAIN", "owner", "PLAYGROUND_TRAIN=owner needs PLAYGROUND_HOST_PASSWORD"),
        ("FROZEN", "layers", "PLAYGROUND_FROZEN contains 'layers', which is not a setting."),
    ],
)
def test_what_says_nothing_usable_is_said(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Hosting.read({PREFIX + name: value})


def test_every_variable_is_documented() -> None:
    documented = set(re.findall(r"^\| `PLAYGROUND_([A-Z_]+)`", DOCUMENTATION.read_text("utf-8"), re.MULTILINE))
    assert documented == {*VARIABLES, "DATA", "CACHE", "METRICS_TOKEN"}


def test_the_documented_numbers_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| `PLAYGROUND_([A-Z_]+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", DOCUMENTATION.read_text("utf-8"), re.MULTILINE
    )
    found = {name.lower(): (public.strip(), classroom.strip()) for name, public, classroom in rows}
    for item in fields(Limits):
        if "help" in item.metadata:
            assert found[item.name] == tuple(
                spelled_out(getattr(limits, item.name)) for limits in (PUBLIC, CLASSROOM)
            ), item.name


def spelled_out(value: float | None) -> str:
    return "none" if value is None else f"{value:,}"
