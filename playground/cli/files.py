"""Exporting a run to a folder, and importing one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playground.cli.command import Command, add_run, find_run
from playground.runs.export import FORMATS, export_run
from playground.runs.import_model import import_folder, import_from_hub
from playground.runs.store.paths import cache_root
from playground.runs.store.run_store import RunStore


def _export_options(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--format", choices=FORMATS, default="transformers",
        help="transformers: loads in Transformers without remote code; safetensors: all parts, for import here; "
        "code: one Python file that trains the model (default: transformers)",
    )  # fmt: skip
    parser.add_argument("--step", type=int, help="weights of this step (default: the newest)")


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR", help="folder with config.json, tokenizer.json, *.safetensors"
    )
    parser.add_argument(
        "--hub", metavar="OWNER/NAME", help="a public model of the Hugging Face Hub instead of a folder"
    )
    parser.add_argument("--name", default="", help="name of the run")


def _export(options: argparse.Namespace, store: RunStore) -> int:
    run = find_run(store, options.run)
    done = export_run(run, options.folder.absolute(), options.format, options.step, cache_dir=cache_root())
    print(done.said, file=sys.stderr)
    print(options.folder)
    return 0


def _import(options: argparse.Namespace, store: RunStore) -> int:
    if (options.folder is None) == (options.hub is None):
        raise ValueError("Give either a folder to import or --hub OWNER/NAME.")
    if options.hub is not None:
        run = import_from_hub(store, options.hub, name=options.name)
    else:
        run = import_folder(store, options.folder.absolute(), name=options.name)
    print(run.status().message, file=sys.stderr)
    print(run.id)
    return 0


EXPORT = Command("export", "export a run to a folder", _export_options, _export)
IMPORT = Command("import", "import an exported folder or a Hugging Face model as a run", _import_options, _import)
