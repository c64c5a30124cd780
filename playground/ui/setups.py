"""A configuration of the Train tab as a link and an assignment have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playground.config import PRESETS, ModelConfig, TrainConfig, counted, preset
from playground.data.corpora import CORPORA

MAX_SETUP = 8_000  # characters


@dataclass(frozen=True)
class Setup:
    """What the Train tab's form says: a preset, a text, and the settings that differ from the preset and the defaults."""

    preset: str = "modern"
    corpus: str = "tales"
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: Any, corpus: str, model: Mapping[str, Any], train: Mapping[str, Any]) -> Setup:
        """The difference between a form and its defaults. Raises ValueError for settings out of range."""
        wanted = ModelConfig.from_dict({**model, "vocab_size": ModelConfig().vocab_size}).to_dict()
        chosen = _differences(wanted, _known(name).to_dict())
        chosen |= _differences(wanted, preset(name, **chosen).to_dict())  # key/value heads follow heads unless given
        settings = _differences(TrainConfig.from_dict({**train, "corpus": corpus}).to_dict(), TrainConfig().to_dict())
        settings.pop("corpus", None)
        return cls(str(name), corpus, chosen, settings)

    @classmethod
    def from_json(cls, text: str) -> Setup:
        """A set-up as `to_json` wrote it, checked. Raises ValueError with a sentence."""
        if len(text) > MAX_SETUP:
            raise ValueError(
                f"The configuration in this link has {counted(len(text), 'character')}; the limit is {MAX_SETUP:,}."
            )
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        parts = {"preset": str, "corpus": str, "model": dict, "train": dict}
        if (
            not isinstance(values, dict)
            or not values.keys() <= parts.keys()
            or any(not isinstance(value, parts[key]) for key, value in values.items())
        ):
            raise ValueError("The configuration in this link is damaged. Ask for the link again.")
        found = cls(**values)
        if found.corpus not in CORPORA:
            raise ValueError(f"The configuration in this link names an unknown dataset, {found.corpus[:40]!r}.")
        found.settings()
        return found

    def to_json(self) -> str:
        """As compact JSON."""
        values = {"preset": self.preset, "corpus": self.corpus, "model": self.model, "train": self.train}
        return json.dumps({key: value for key, value in values.items() if value}, separators=(",", ":"))

    def settings(self) -> tuple[ModelConfig, TrainConfig]:
        """All settings, the defaults included. Raises ValueError."""
        _known(self.preset)
        return preset(self.preset, **self.model), TrainConfig.from_dict({**self.train, "corpus": self.corpus})


def _known(name: Any) -> ModelConfig:
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"Preset must be one of {', '.join(PRESETS)}; {str(name)[:40]!r} is not.")
    return preset(name)


def _differences(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != defaults[name]}


def setup_of_link(text: object) -> Setup:
    """The set-up in a link that *Copy link to this configuration* has made. Raises ValueError."""
    link = text.strip() if isinstance(text, str) else ""
    try:
        found = parse_qs(urlsplit(link).query).get("setup", [""])[0]
    except ValueError:
        found = ""
    if not found:
        raise ValueError(
            "Configuration must be a link that contains ?setup=…. Make it on the Train tab, with *Copy link to this "
            "configuration*."
        )
    return Setup.from_json(found)
