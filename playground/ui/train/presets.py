"""What choosing a preset puts into the form."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import gradio as gr

from playground.config import PRESETS, RECIPES, ModelConfig, TrainConfig, preset, recipe
from playground.ui.forms import HIDDEN


def show_preset(name: str, n_head: float) -> list[Any]:
    """The preset's values for the fields that it sets, without sizes."""
    values = preset(name, n_head=n_head).to_dict()
    return [values[key] for key in preset_fields()]


def show_recipe(name: str, *shown: Any) -> list[Any]:
    """Dataset, sizes and training settings of a preset that is a whole recipe. Other presets do not change them, unless the
    form `shown` is an unmodified recipe: that is reset."""
    if name in RECIPES:
        return _whole(name)
    untouched = any(list(shown) == _whole(other) for other in RECIPES)
    return _whole("") if untouched else [gr.skip()] * len(shown)


def _whole(name: str) -> list[Any]:
    """The values of what recipes set on the form, by this one, or as the form begins."""
    model, train = ({**kind().to_dict(), **recipe(name, kind)} for kind in (ModelConfig, TrainConfig))
    of_model, of_train = recipe_fields()
    return [train["corpus"], *(model[key] for key in of_model), *(train[key] for key in of_train)]


def recipe_fields() -> tuple[list[str], list[str]]:
    """What a recipe sets on the form: sizes, and all of training but what is chosen elsewhere."""
    sizes = {key for name in RECIPES for key in recipe(name, ModelConfig)}
    elsewhere = {"seed", "prompt", *HIDDEN}
    return sorted(sizes), [item.name for item in fields(TrainConfig) if item.name not in elsewhere]


def preset_fields() -> list[str]:
    """The fields that any preset sets: choosing one also resets those set by another."""
    named = {key for values in PRESETS.values() for key in values} - {"n_head"}
    return [item.name for item in fields(ModelConfig) if item.name in named]
