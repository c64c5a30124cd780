"""Import a model: files, or a public repository of the Hugging Face Hub, become a run to inspect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from playground.interchange.architectures import ARCHITECTURES
from playground.runs.import_model import import_files, import_from_hub
from playground.runs.store.run_store import check_owner, hashed
from playground.ui.services import Services

ABOUT = (
    "Choose `config.json`, `tokenizer.json` and the `.safetensors` files together, of a folder that *Export* made or of a "
    f"Hugging Face model of type {', '.join(ARCHITECTURES)}. Archives and pickle files are not opened."
)


@dataclass(frozen=True)
class BringIn:
    """The panel's components."""

    files: gr.File
    repository: gr.Textbox
    name: gr.Textbox
    bring: gr.Button


def build_bring_in(services: Services) -> BringIn:
    """Lay the panel out, folded. Visitors of a public app can only upload files."""
    with gr.Accordion("Import a model", open=False, elem_classes="pg-fold", elem_id="bring-in"):
        gr.Markdown(ABOUT, elem_classes="pg-note")
        files = gr.File(
            label="Model files" + (", up to 40 MB each" if services.public else ""),
            file_count="multiple", type="filepath", height=160, elem_id="bring-files",
        )  # fmt: skip
        repository = gr.Textbox(
            label="or a public repository on the Hugging Face Hub", placeholder="owner/name", max_length=200,
            visible=not services.public, elem_id="bring-repository",
        )  # fmt: skip
        with gr.Row(elem_classes="pg-actions"):
            name = gr.Textbox(label="Name", placeholder="chosen automatically", max_length=60, scale=1, min_width=120)
            bring = gr.Button("Import", elem_classes="pg-quiet", elem_id="bring-model", scale=1)
    return BringIn(files, repository, name, bring)


def bring(services: Services, files: list[str] | None, repository: str, name: str, token: str) -> str:
    """Import the selection as a run and return its id."""
    wanted = repository.strip() if isinstance(repository, str) else ""
    if files and wanted:
        raise ValueError("Choose either files or a repository, not both.")
    owner = services.visitor(token)
    check_owner(owner)
    name = name.strip() if isinstance(name, str) else ""
    if wanted:
        if services.public:
            raise ValueError(
                "Repositories are not downloaded here. Run the playground on your own computer, or upload files."
            )
        return import_from_hub(services.store, wanted, name=name, owner=owner).id
    if not files:
        raise ValueError("No files are chosen. Choose a model's config.json, tokenizer.json and .safetensors together.")
    need = 2 * sum(Path(file).stat().st_size for file in files)  # half-precision weights double
    services.launcher.space.check_brought(hashed(owner), need, services.limits)
    run = import_files(services.store, [Path(file) for file in files], name=name, owner=owner)
    services.files.used(run.id, files)
    return run.id


def wire_bring_in(
    panel: BringIn,
    services: Services,
    visitor: gr.BrowserState,
    follow: Callable[..., tuple[Any, Any]],
    outputs: list[Any],
) -> None:
    """Connect the controls; `follow` shows a run by its id in the `outputs`."""

    def bring_and_show(
        services: Services, files: list[str] | None, repository: str, name: str, token: str
    ) -> tuple[Any, ...]:
        return *follow(services, bring(services, files, repository, name, token), token), None, "", ""

    panel.bring.click(
        services.bind(bring_and_show), [panel.files, panel.repository, panel.name, visitor],
        [*outputs, panel.files, panel.repository, panel.name],
        # Otherwise an error would mark each of the outputs.
        show_progress="minimal", show_progress_on=panel.files, concurrency_limit=2, api_visibility="private",
    )  # fmt: skip
