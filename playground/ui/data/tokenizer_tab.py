"""The Tokenizer tab: a text under several tokenizers, BPE training step by step, and a comparison by training."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
import pandas as pd

from playground.races import tokenizer_comparison
from playground.runs.create import create_run, prepare_run
from playground.tokenizers import bpe_from_scratch, in_words
from playground.ui.components import component
from playground.ui.components.contracts.texts import ReplayValue, TokenizeValue
from playground.ui.data import tokenizer_endpoints
from playground.ui.data.tokenizer_endpoints import CORPUS_LABELS, MAX_TOKENIZERS
from playground.ui.forms import RANGES, unvalidated
from playground.ui.imports import keep, kept
from playground.ui.picker import QUIET
from playground.ui.services import Services
from playground.ui.validation import strings

EXAMPLES = {
    "English": 'Mila gave the key to Oren, who had never opened the old box before. "Careful!" she said. '
    "It's full of 1,024 unanswered letters.",
    "Hindi": "मिला ने ओरेन को चाबी दी। उसने पुराना बक्सा खोला, और उसमें १०२४ चिट्ठियाँ थीं।",
    "Chinese": "米拉把钥匙给了奥伦。他打开那个旧箱子，里面有一千零二十四封没有回复的信。",
    "Arabic": "أعطت ميلا المفتاح لأورن. فتح الصندوق القديم فوجد فيه ١٠٢٤ رسالة بلا جواب.",
    "Emoji": "🦊 found a 🗝️ and a 📦! 👩\u200d👩\u200d👧 cheered 🎉🎉🎉, flew to 🇫🇷 and waved 👋🏽",
    "Code": "def total(prices, tax=0.19):\n\tif not prices:\n\t\treturn 0.0\n    # four spaces, not a tab\n"
    "    return sum(p * (1 + tax) for p in prices)\n",
    "Invisible": "no\u00a0break, zero\u200bwidth, e\u0301 and é, \ufefffirst, tab\there, \u202eturned\u202c, "
    "<|endoftext|>\r\n",
    "Wikipedia's": "aaabdaaabac",
}
START = ("byte", "bpe:512", "bpe:2000")
FIXED = [
    ("Bytes", "byte"),
    ("Characters", "char"),
    *((f"BPE {n:,}", f"bpe:{n}") for n in (300, 512, 1000, 2000, 4000, 8000)),
]
SHARE_WIDTH = 128
NOTICE = (
    "**What to notice.** Frequent words become one token, rare ones are split into pieces; a space belongs to the word that "
    "follows it. A vocabulary learned from one language works badly for another: choose Hindi or Chinese and compare with "
    "bytes. *Merge by merge* shows why: only frequent sequences get a token of their own."
)
LESSON = (
    "**The example from Wikipedia.** `aaabdaaabac`: *aa* is the most frequent pair and becomes a token, then *ab*, then the "
    "two together: eleven bytes become five tokens. Choose the example *Wikipedia's* and move the slider above."
)
DUEL = (
    "**Compare tokenizers** train the same model on bytes, characters and two BPE vocabularies, with equal training "
    "FLOPs. A step with a large vocabulary costs more, so that model gets fewer of them."
)
DUEL_FIELDS = (  # element id, label, value, smallest
    ("steps", "Steps of the byte model", 400, 1),
    ("width", "Embedding size", 128, 8),
    ("small", "Smaller BPE", 512, 256),
    ("large", "Larger BPE", 2000, 256),
)
DUEL_COLUMNS = ["tokenizer", "vocabulary", "parameters", "steps", "bytes per token", "MB of text read"]


@dataclass(frozen=True)
class TokenizerTab:
    """The tab's components. `started` are the ids of the runs that the comparison has just queued."""

    tab: gr.Tab
    example: gr.Radio
    text: gr.Textbox
    tokenizers: gr.Dropdown
    learned: gr.Radio
    file: gr.UploadButton
    files: gr.State
    width: gr.Slider
    view: gr.HTML
    replay: gr.HTML
    corpus: gr.Radio
    duel: tuple[gr.Number, ...]
    plan: gr.Dataframe
    why: gr.Markdown
    start: gr.Button
    started: gr.State


def build(services: Services) -> TokenizerTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Tokenizer", id="tokenizer") as parts["tab"], gr.Row(elem_classes="pg-page"):
        with gr.Column(elem_classes="pg-side", min_width=300):
            _build_text(parts)
            _build_tokenizers(parts)
        with gr.Column(elem_classes="pg-main"):
            parts["view"] = component(
                "tokenizer_view", tokenize=partial(tokenizer_endpoints.tokenize, services), elem_id="tokenizer-view"
            )
            gr.Markdown(NOTICE, elem_classes="pg-note")
            parts["replay"] = component(
                "merge_replay", replay=partial(tokenizer_endpoints.replay, services), elem_id="merge-replay"
            )
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown(LESSON, elem_classes="pg-note")
                with gr.Accordion("The code: byte pair encoding from scratch", open=False, elem_classes="pg-fold"):
                    gr.Markdown(f"```python\n{inspect.getsource(bpe_from_scratch)}\n```", elem_id="bpe-source")
            _build_duel(parts)
    return TokenizerTab(**parts)


def _build_text(parts: dict[str, Any]) -> None:
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**1 · Text** to tokenize", elem_classes="pg-title")
        parts["example"] = gr.Radio(
            list(EXAMPLES), value="English", label="Examples", show_label=False, elem_classes=["pg-choice", "pg-segmented"],
            elem_id="tokenizer-example",
        )  # fmt: skip
        parts["text"] = gr.Textbox(
            EXAMPLES["English"], label="Text", show_label=False, lines=5, max_lines=14, elem_classes="pg-mono",
            elem_id="tokenizer-text",
        )  # fmt: skip


def _build_tokenizers(parts: dict[str, Any]) -> None:
    low, high, step = RANGES["n_embd"]
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown(f"**2 · Tokenizers** up to {MAX_TOKENIZERS}", elem_classes="pg-title")
        parts["tokenizers"] = unvalidated(gr.Dropdown(
            FIXED, value=list(START), multiselect=True, max_choices=MAX_TOKENIZERS, label="Tokenizers", show_label=False,
            elem_id="tokenizers",
        ))  # fmt: skip
        parts["learned"] = gr.Radio(
            [*((label, name) for name, label in CORPUS_LABELS.items()), ("This text", "text")], value="tales",
            label="BPE learned from", elem_classes=["pg-choice", "pg-segmented"], elem_id="tokenizer-learned",
        )  # fmt: skip
        parts["width"] = gr.Slider(
            low, high, value=SHARE_WIDTH, step=step, label="Embedding size", buttons=[], elem_classes="pg-compact",
            info="The embedding has one row of this size per token of the vocabulary; the model has 4 layers.",
        )  # fmt: skip
        parts["files"] = gr.State([])
        parts["file"] = gr.UploadButton(
            "Import a tokenizer.json",
            file_types=[".json"],
            type="binary",
            elem_classes="pg-quiet",
            elem_id="import-tokenizer",
        )


def _build_duel(parts: dict[str, Any]) -> None:
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown(DUEL, elem_classes="pg-title")
        parts["corpus"] = gr.Radio(
            [(label, name) for name, label in CORPUS_LABELS.items()], value="tales", label="Text", show_label=False,
            elem_classes=["pg-choice", "pg-segmented"], elem_id="duel-corpus",
        )  # fmt: skip
        with gr.Row(elem_classes="pg-actions"):
            parts["duel"] = tuple(_duel_number(*field) for field in DUEL_FIELDS)
        parts["plan"] = gr.Dataframe(
            headers=DUEL_COLUMNS, interactive=False, show_label=False, elem_id="duel-plan", wrap=True
        )
        parts["why"] = gr.Markdown("", elem_classes="pg-note", elem_id="duel-why")
        parts["start"] = gr.Button(
            "Compare tokenizers", variant="primary", elem_classes="pg-primary", elem_id="start-duel"
        )
        parts["started"] = gr.State([])


def _duel_number(name: str, label: str, value: int, low: int) -> gr.Number:
    with gr.Column(min_width=120):
        return gr.Number(value, label=label, precision=0, minimum=low, elem_id=f"duel-{name}")


# What the controls do


def look(text: str, keys: list[str] | None, learned: str, width: Any, token: str) -> tuple[TokenizeValue, ReplayValue]:
    """The requests of the two views."""
    nonce, text = time.monotonic_ns(), text or ""
    request: TokenizeValue = {
        "visitor": token, "text": text, "tokenizers": strings(keys), "learned": learned, "width": width, "nonce": nonce,
    }  # fmt: skip
    return request, {"text": text, "nonce": nonce}


def refresh(services: Services, files: list[tuple[str, str]], token: str) -> Any:
    """The available tokenizers: built-in, imported, and those of runs."""
    return gr.update(choices=_choices(services, files, token))


def _choices(services: Services, files: list[tuple[str, str]], token: str) -> list[tuple[str, str]]:
    runs = services.store.list(services.visitor(token))
    learned = [run for run in runs if run.train.tokenizer != "byte"]
    names = [(f"{run.name}: {run.tokenizer_words}", f"run:{run.id}") for run in learned]
    return [*FIXED, *((str(label), str(key)) for label, key in files), *names]


def add_file(
    services: Services, data: bytes | None, files: list[tuple[str, str]], chosen: list[str], token: str
) -> tuple[Any, Any]:
    """Import a tokenizer.json and choose it. Raises ValueError for an invalid file."""
    if not data:
        return gr.skip(), gr.skip()
    key = keep(data)
    tokenizer = kept(key)
    entry = (f"Imported: {in_words(tokenizer)}", f"file:{key}")
    files = [*(file for file in files if file[1] != entry[1]), entry]
    chosen = [*(old for old in strings(chosen) if old != entry[1])][: MAX_TOKENIZERS - 1]
    return files, gr.update(choices=_choices(services, files, token), value=[*chosen, entry[1]])


def show_plan(services: Services, corpus: str, *numbers: Any) -> tuple[pd.DataFrame, str]:
    """The comparison's arms as a table, and why their losses per token are not comparable."""
    plans = _plans(corpus, *numbers)
    rows = [
        [
            plan.arm.name, f"{plan.arm.vocab_size:,}", f"{plan.parameters:,}", f"{plan.train.steps:,}",
            f"{plan.arm.bytes_per_token:.2f}", f"{plan.bytes_read / 1e6:.2f}",
        ]
        for plan in plans
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=DUEL_COLUMNS), _why(plans)


def _why(plans: list[tokenizer_comparison.Plan]) -> str:
    first, last = plans[0], max(plans, key=lambda plan: plan.arm.bytes_per_token)
    ratio = last.arm.bytes_per_token / first.arm.bytes_per_token
    return (
        f"Each model trains for {first.flops:.2g} FLOPs. **Losses per token cannot be compared:** a token of "
        f"{last.arm.name} stands for {last.arm.bytes_per_token:.1f} bytes of this text, so a loss of {ratio:.1f} nats "
        "per token there is as good as 1.0 with bytes. Bits per byte are comparable: the number of bits that the same "
        "text costs. *Compare tokenizers* trains them one after the other, and *Compare* opens with their curves in "
        "bits per byte."
    )


def _plans(corpus: str, steps: Any, width: Any, small: Any, large: Any) -> list[tokenizer_comparison.Plan]:
    sizes = [_whole(size, "BPE vocabulary", 256, 8_000) for size in (small, large)]
    model = {"n_embd": _whole(width, "Embedding size", 8, 1024), "n_layer": 4, "n_head": 4, "block_size": 128}
    return tokenizer_comparison.plan(sizes, model, {"corpus": corpus, "steps": steps, "warmup_steps": 0})


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or value != value // 1
        or not low <= value <= high
    ):
        raise ValueError(f"{name} must be a whole number from {low:,} to {high:,}; {str(value)[:20]} is not.")
    return int(value)


def start_duel(services: Services, token: str, corpus: str, *numbers: Any) -> Iterator[tuple[Any, str]]:
    """Prepare all arms, then create and queue them: yields progress messages, then the ids of their runs."""
    plans = _plans(corpus, *numbers)
    services.launcher.admit(services.visitor(token), len(plans))
    prepared = []
    for n, plan in enumerate(plans, start=1):
        yield gr.skip(), f"Preparing {plan.arm.name}, {n} of {len(plans)} …"
        model = {key: value for key, value in plan.model.to_dict().items() if key != "vocab_size"}
        prepared.append(
            prepare_run(
                tokenizer_comparison.PRESET,
                model,
                plan.train.to_dict(),
                cache_dir=services.cache_dir,
                limits=services.limits,
            )
        )
    visitor, started = services.visitor(token), []
    for plan, run in zip(plans, prepared, strict=True):
        created = create_run(services.store, run, name=f"Tokenizer: {plan.arm.name}", owner=visitor)
        services.launcher.begin(created, visitor)
        started.append(created.id)
    yield started, _why(plans)


def wire(tab: TokenizerTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    tab.example.input(lambda name: EXAMPLES.get(name, ""), tab.example, tab.text, **QUIET)
    request = [tab.text, tab.tokenizers, tab.learned, tab.width, visitor]
    opened = tab.tab.select(services.bind(refresh), [tab.files, visitor], tab.tokenizers, **QUIET)
    opened.success(look, request, [tab.view, tab.replay], **QUIET)
    for event in (tab.text.change, tab.tokenizers.change, tab.learned.change, tab.width.change):
        event(look, request, [tab.view, tab.replay], trigger_mode="always_last", **QUIET)
    tab.file.upload(
        services.bind(add_file), [tab.file, tab.files, tab.tokenizers, visitor], [tab.files, tab.tokenizers], **QUIET
    )
    arms = [tab.corpus, *tab.duel]
    shown = [tab.plan, tab.why]
    tab.tab.select(services.bind(show_plan), arms, shown, **QUIET)
    gr.on(
        [tab.corpus.change, *(number.change for number in tab.duel)], services.bind(show_plan), arms, shown,
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip
