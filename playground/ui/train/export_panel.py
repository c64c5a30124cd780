"""Export: download the chosen run for Transformers, for the playground, or as one Python file."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from playground.runs.export import FORMATS, export_run, zip_folder
from playground.ui.forms import unvalidated
from playground.ui.picker import QUIET, checkpoints
from playground.ui.services import Services
from playground.ui.session_files import files_folder

LABELS = {
    "transformers": "Transformers",
    "safetensors": "Everything",
    "code": "Python file",
}
ABOUT = {
    "transformers": "For `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained`, without remote code. "
    "Where Transformers is installed, it is loaded back and compared.",
    "safetensors": "Config, tokenizer, safetensors, log as CSV and JSON lines, model card. *Import a model* reads it.",
    "code": "Defines and trains this model with these settings. Needs only PyTorch; can be pasted into a notebook.",
}
PREFIX = "playground-away-"
KEPT_SECONDS = 3600.0  # after which a prepared download is deleted
# The browser downloads the file as soon as its link exists.
ON_READY = """() => { let tries = 0; const id = setInterval(() => {
  const link = document.querySelector("#away-file a[download]"); tries += 1;
  if (link) link.click();
  if (link || tries > 20) clearInterval(id); }, 100); }"""


@dataclass(frozen=True)
class TakeAway:
    """The panel's components."""

    fold: gr.Accordion
    format: gr.Radio
    about: gr.Markdown
    step: gr.Dropdown
    prepare: gr.Button
    file: gr.File
    said: gr.Markdown


def build_take_away(services: Services) -> TakeAway:
    """Lay the panel out, folded."""
    with gr.Accordion("Export", open=False, elem_classes="pg-fold", elem_id="take-away") as fold:
        choice = gr.Radio(
            [(label, name) for name, label in LABELS.items()], value="transformers", label="Format", show_label=False,
            elem_classes=["pg-choice", "pg-segmented"], elem_id="away-format",
        )  # fmt: skip
        about = gr.Markdown(ABOUT["transformers"], elem_classes="pg-note")
        with gr.Row(elem_classes="pg-actions"):
            step = unvalidated(
                gr.Dropdown([], value=None, label="Checkpoint (step)", elem_id="away-step", scale=1, min_width=120)
            )
            prepare = gr.Button("Download", variant="primary", elem_id="away-prepare", scale=1, min_width=120)
        said = gr.Markdown("", elem_classes="pg-note", elem_id="away-said")
        file = gr.File(
            label="Download", show_label=False, visible=False, interactive=False, elem_id="away-file", height=80
        )
    return TakeAway(fold, choice, about, step, prepare, file, said)


def show_format(name: str) -> tuple[str, Any]:
    """A description of the format; code trains from scratch, so it has no checkpoint."""
    return ABOUT.get(name, ""), gr.update(visible=name != "code")


def show_steps(services: Services, run_id: str | None, token: str) -> tuple[Any, str, Any]:
    """The chosen run's checkpoints; an earlier download belongs to another run."""
    return checkpoints(services, run_id, token), "", gr.update(value=None, visible=False)


def take(services: Services, run_id: str | None, step: Any, format: str, token: str) -> tuple[str, Any]:
    """Prepare a download in a new folder, and describe it or the error."""
    if not run_id:
        raise ValueError("No run is chosen. Choose one from the list, or start one.")
    run = services.run(run_id, token)
    chosen = step if isinstance(step, int) and not isinstance(step, bool) and format != "code" else None
    sweep()
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=files_folder()))
    folder = place / f"{file_name(run.name)}-{format if format in FORMATS else 'model'}"
    try:
        done = export_run(run, folder, format, chosen, cache_dir=services.cache_dir, models=services.models)
        archive = folder.with_suffix(".zip")
        zip_folder(folder, archive)
        shutil.rmtree(folder)
    except ValueError as error:
        shutil.rmtree(place, ignore_errors=True)
        return f"**Not possible.** {error}", gr.update(value=None, visible=False)
    services.files.used(run.id, [archive])
    return done.said, gr.update(value=str(archive), visible=True)


def file_name(name: str) -> str:
    """A run's name for use in a file name: letters, digits and hyphens of ASCII."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:40].strip("-") or "model"


def sweep() -> None:
    """Delete old downloads."""
    for place in files_folder().glob(f"{PREFIX}*"):
        try:
            old = time.time() - place.stat().st_mtime > KEPT_SECONDS
        except OSError:
            continue  # another request has just removed it
        if old:
            shutil.rmtree(place, ignore_errors=True)


def wire_take_away(panel: TakeAway, services: Services, visitor: gr.BrowserState, run: gr.Dropdown) -> None:
    """Connect the controls; `run` is the dropdown that says which run is meant."""
    panel.format.change(show_format, panel.format, [panel.about, panel.step], **QUIET)
    gr.on(
        [run.change, panel.fold.expand], services.bind(show_steps), [run, visitor], [panel.step, panel.said, panel.file],
        **QUIET,
    )  # fmt: skip
    panel.prepare.click(
        services.bind(take), [run, panel.step, panel.format, visitor], [panel.said, panel.file],
        show_progress="minimal", concurrency_limit=2, api_visibility="private",
    ).success(None, None, None, js=ON_READY)  # fmt: skip
