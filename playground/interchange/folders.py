"""The two folders that a trained model can be written to, and read from.

`write_transformers` makes a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load without remote code;
`write_safetensors` one of our own that keeps everything and says what each file is; `read_folder` reads both.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import playground
from playground.config import ModelConfig, TrainConfig, counted, model_config
from playground.interchange.architectures import Architecture, choose, transformers_config
from playground.interchange.card import model_card
from playground.interchange.foreign_config import from_transformers
from playground.interchange.leftovers import head_differs, with_prefix, with_tied_head, without_constants
from playground.interchange.names import Rule, Tensors, export_tensors, import_tensors, same
from playground.interchange.package import Package
from playground.interchange.refusal import read_object, shown, signature
from playground.interchange.sizes import check_size, check_weights_memory, parameters
from playground.interchange.tensors import Place, check_shapes, read_headers, read_tensor
from playground.interchange.tokenizer_classes import class_note
from playground.interchange.tokens import SpecialTokenFiles, from_tokenizer_json, padding_note, special_settings
from playground.tokenizers import tokenizer_from_dict, tokenizers_json

FORMAT = "llm-playground"
VERSION = 1
MAX_CONFIG_BYTES = 256 * 1024
MAX_TOKENIZER_BYTES = 40_000_000
MAX_EVENTS_BYTES = 64_000_000
UNTIED = (
    "The config ties the output head to the embedding, but the file has another head: it is used, as in Transformers."
)
WEIGHTS = ".safetensors"
# Read in addition to the weights; other files of a folder are not opened.
READ = ("config.json", "tokenizer.json", "events.jsonl", "generation_config.json", "tokenizer_config.json")
# These are expected in such folders and are not needed here.
SILENT = (
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "model.safetensors.index.json", "readme.md", "license", ".gitattributes", "events.csv",
)  # fmt: skip


# Writing


def write_transformers(folder: Path, package: Package) -> Architecture:
    """Fill an empty folder for Transformers. Raises ValueError for settings that no architecture supports."""
    item = choose(package.config)
    config = transformers_config(item, package.config)
    tokens = tokenizers_json(package.tokenizer)
    special, names = special_settings(package.tokenizer, tokens)
    _write_json(folder / "config.json", config | special)
    _write_json(folder / "generation_config.json", special)
    (folder / "tokenizer.json").write_text(tokens, "utf-8")
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": package.config.block_size,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            **names,
        },
    )
    _write_tensors(folder, export_tensors(item.rules(package.config), package.weights))
    (folder / "README.md").write_text(model_card(package, item.class_name), "utf-8")
    return item


def write_safetensors(folder: Path, package: Package) -> None:
    """Fill an empty folder with everything there is: config, tokenizer, weights, events as lines of JSON and as CSV."""
    about = {
        "format": FORMAT,
        "version": VERSION,
        "playground": playground.__version__,
        "name": package.name,
        "step": package.step,
        "preset": package.preset,
        "model": package.config.to_dict(),
        "train": None if package.train is None else package.train.to_dict(),
    }
    _write_json(folder / "config.json", about)
    _write_json(folder / "tokenizer.json", package.tokenizer.to_dict())
    _write_tensors(folder, package.weights)
    (folder / "README.md").write_text(model_card(package, None), "utf-8")
    if package.events:
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in package.events)
        (folder / "events.jsonl").write_text("".join(lines), "utf-8")
        write_csv(folder / "events.csv", package.events)


def write_csv(path: Path, events: Iterable[dict[str, Any]]) -> None:
    """Losses and measurements as a table, one line an event. Samples are left out: they are text, not numbers.

    The columns are the keys that these events have, those of steps first.
    """
    rows = [row for row in events if row.get("event") in ("StepDone", "Evaluated")]
    columns = dict.fromkeys(
        name for kind in ("StepDone", "Evaluated") for row in rows if row["event"] == kind for name in row
    )
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(columns), restval="")
        table.writeheader()
        table.writerows(rows)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def _write_tensors(folder: Path, tensors: Tensors) -> None:
    ready = {name: tensor.detach().cpu().float().contiguous() for name, tensor in tensors.items()}
    path = folder / "model.safetensors"
    save_file(ready, path, metadata={"format": "pt"})
    path.chmod(0o644)  # the library creates it readable by the owner only


# Reading


def read_folder(folder: Path, free: int | None = None) -> Package:
    """The model in a folder of Transformers or of ours. Raises ValueError with the first thing that is wrong.

    `free` bytes of memory may be taken; None is as many as it needs.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {shown(folder.name)}.")
    return read_files(sorted(path for path in folder.iterdir() if _is_read(path)), folder, free=free)


def _is_read(path: Path) -> bool:
    return path.name in READ or path.suffix == WEIGHTS


def read_files(paths: Iterable[Path], folder: Path | None = None, name: str = "", free: int | None = None) -> Package:
    """The model in some files, identified by name; they may be in any folder.

    Everything is checked against the config, and against `free` memory, before the first weight is read. `folder` is where
    they come from, if it is one: its name is the model's, and its other files help to explain what is missing.
    """
    files = _by_name(paths)
    weights = [path for file, path in files.items() if file.endswith(WEIGHTS)]
    if not weights:
        raise ValueError(_no_weights(list(files.values()) if folder is None else list(folder.iterdir())))
    if "config.json" not in files:
        raise ValueError("config.json is missing: it describes the architecture of the model.")
    config = read_object(files["config.json"], MAX_CONFIG_BYTES)
    places = read_headers(weights)
    check_weights_memory(sum(math.prod(place.shape) for place in places.values()), free)
    tokenizer = read_object(files["tokenizer.json"], MAX_TOKENIZER_BYTES) if "tokenizer.json" in files else None
    if tokenizer is None:
        raise ValueError("tokenizer.json is missing: it defines the tokens of the model.")
    name = name or (folder.name if folder else "Imported model")
    if config.get("format") == FORMAT:
        return _read_ours(config, tokenizer, places, files.get("events.jsonl"), free)
    generation, settings = (
        read_object(files[file], MAX_TOKENIZER_BYTES) if file in files else None
        for file in ("generation_config.json", "tokenizer_config.json")
    )
    return _read_theirs(config, tokenizer, places, name, SpecialTokenFiles(config, generation, settings or {}), free)


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """The files that are read, by name. Raises ValueError for unexpected files."""
    files: dict[str, Path] = {}
    for path in paths:
        name = path.name
        if not path.is_file():
            raise ValueError(f"{shown(name)} is not a file.")
        if name.startswith("adapter") and _is_read(path):
            raise ValueError(
                f"{shown(name)} is an adapter (LoRA), not a model: merge it into its model first, or leave it out."
            )
        if not _is_read(path):
            if name.lower() in SILENT:
                continue
            raise ValueError(_no_weights([path]))
        if name in files:
            raise ValueError(f"{shown(name)} was given twice.")
        files[name] = path
    return files


def _no_weights(paths: list[Path]) -> str:
    """Why there are no weights: which other formats were found."""
    for path in sorted(paths):
        if path.is_file() and not _is_read(path) and path.name.lower() not in SILENT:
            with open(path, "rb") as file:
                kind = signature(file.read(300))
            if kind:
                return f"Only .safetensors files are read; {shown(path.name)} is {kind}."
            return (
                f"{shown(path.name)} is not a file that is read here; these are: {', '.join(READ)} and *.safetensors."
            )
    return "There is no .safetensors file: a model's weights are missing."


def _read_ours(
    config: dict[str, Any], tokenizer: dict[str, Any], places: dict[str, Place], log: Path | None, free: int | None
) -> Package:
    if config.get("version") != VERSION:
        raise ValueError(f"config.json: version {shown(config.get('version'))} is not one that this playground reads.")
    for key in ("model", "train"):
        if not isinstance(config.get(key), dict) and not (key == "train" and config.get(key) is None):
            raise ValueError(f"config.json: {key} must be a table of settings.")
    step, name, preset = config.get("step"), config.get("name"), config.get("preset")
    if type(step) is not int or not 0 <= step <= 10**7 or not isinstance(name, str) or not isinstance(preset, str):
        raise ValueError("config.json: name, preset and step must be texts and a whole number.")
    model = model_config(config["model"])
    train = None if config["train"] is None else TrainConfig.from_stored(config["train"])
    ours = tokenizer_from_dict(tokenizer)
    if ours.vocab_size != model.vocab_size:
        raise ValueError(f"The tokenizer has {counted(ours.vocab_size, 'token')}; the model has {model.vocab_size:,}.")
    check_size(model, _own_names, places, free)
    own = parameters(model)
    check_shapes(places, {name: tuple(tensor.shape) for name, tensor in own.items()})
    weights = import_tensors(_own_names(model), lambda name: read_tensor(name, places[name]))
    return Package(name, model, weights, ours, step, train, preset, _read_events(log))


def _own_names(model: ModelConfig) -> list[Rule]:
    return [same(name, name) for name in parameters(model)]


def _read_events(path: Path | None) -> tuple[dict[str, Any], ...]:
    """The rows of a log, which the reader must validate. Raises ValueError for invalid JSON."""
    if path is None:
        return ()
    if path.stat().st_size > MAX_EVENTS_BYTES:
        raise ValueError(f"events.jsonl has {counted(path.stat().st_size, 'byte')}; the limit is {MAX_EVENTS_BYTES:,}.")
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ValueError(f"events.jsonl: line {number:,} is not a JSON object.")
        rows.append(row)
    return tuple(rows)


def _read_theirs(
    config: dict[str, Any],
    tokenizer: dict[str, Any],
    places: dict[str, Place],
    name: str,
    files: SpecialTokenFiles,
    free: int | None,
) -> Package:
    foreign = from_transformers(config)
    untied = not foreign.stored.head and head_differs(foreign.architecture, places)
    if untied:
        foreign = from_transformers({**config, "tie_word_embeddings": False})
    model, stored = foreign.model, foreign.stored
    check_size(model, lambda one: foreign.architecture.rules(one, stored), places, free)
    rules = foreign.rules()
    expected = export_tensors(rules, parameters(model))
    places = with_prefix(foreign.architecture, places, expected)
    places = without_constants(foreign.architecture, model, places)
    if not stored.head:
        places = with_tied_head(next(iter(expected)), places)
    check_shapes(places, {name: tuple(tensor.shape) for name, tensor in expected.items()})
    ours = from_tokenizer_json(tokenizer, model.vocab_size, files)
    weights = import_tensors(rules, lambda name: read_tensor(name, places[name]))
    notes = (
        *foreign.notes,
        *([UNTIED] if untied else []),
        *padding_note(ours),
        *class_note(ours, tokenizer, config, files.tokenizer),
    )
    return Package(name, model, weights, ours, notes=notes)
