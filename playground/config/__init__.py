"""Every setting of the playground, in frozen dataclasses: what the model is, how it is trained, how it is sampled.

A field carries its own label, one-line explanation and allowed values (`setting`), so that validation, the forms of the
user interface and the command line's ``--help`` are all generated from here and cannot disagree. Construction is the
validation: an instance that exists is valid. Presets are data.
"""

from playground.config.documents import usual_documents
from playground.config.effect import without_effect
from playground.config.generation import GenerationConfig
from playground.config.model import (
    ADDED,
    GATED,
    MOST_SIZE,
    ImportedModelConfig,
    Init,
    MLPKind,
    ModelConfig,
    Norm,
    Placement,
    Position,
    SinkLogit,
    model_config,
)
from playground.config.phrases import apart, counted, duration, listed, moved, nonzero
from playground.config.presets import CLASSIC, GPT_OSS, MIXTURE, MODERN, PRESETS, RACE_START, RECIPES, preset, recipe
from playground.config.rates import followed_rate, usual_rate
from playground.config.settings import ANY, Settings, setting, unsupported
from playground.config.train import (
    Compile,
    Documents,
    OptimizerName,
    Precision,
    ScheduleName,
    TokenizerName,
    TrainConfig,
)
from playground.config.words import (
    config_diff,
    current_name,
    current_names,
    label,
    parsed,
    setting_kinds,
    spelled,
)

__all__ = [
    "ADDED",
    "ANY",
    "CLASSIC",
    "GATED",
    "GPT_OSS",
    "MIXTURE",
    "MODERN",
    "MOST_SIZE",
    "PRESETS",
    "RACE_START",
    "RECIPES",
    "Compile",
    "Documents",
    "GenerationConfig",
    "ImportedModelConfig",
    "Init",
    "MLPKind",
    "ModelConfig",
    "Norm",
    "OptimizerName",
    "Placement",
    "Position",
    "Precision",
    "ScheduleName",
    "Settings",
    "SinkLogit",
    "TokenizerName",
    "TrainConfig",
    "apart",
    "config_diff",
    "counted",
    "current_name",
    "current_names",
    "duration",
    "followed_rate",
    "label",
    "listed",
    "model_config",
    "moved",
    "nonzero",
    "parsed",
    "preset",
    "recipe",
    "setting",
    "setting_kinds",
    "spelled",
    "unsupported",
    "usual_documents",
    "usual_rate",
    "without_effect",
]
