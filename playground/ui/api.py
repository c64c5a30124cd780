"""The public API: a few typed endpoints for programs, and for agents where the extra ``mcp`` is installed.

Everything else on the page is private to it. Who calls is told by `token`: on a public Space `train` hands out a new one to
a caller without one, who can then see and stop what was started with it. On one's own machine it means nothing.
"""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from playground.config import GenerationConfig, ModelConfig, TrainConfig, counted, current_names, setting_kinds
from playground.inference.generation import encode_prompt, generate, until_end
from playground.interp.attention import attention_patterns
from playground.runs.create import create_run, prepare_run
from playground.runs.export import FORMATS, export_run, zip_folder
from playground.runs.store.run_store import Run
from playground.tokenizers import StreamDecoder, pieces
from playground.ui.services import Services, show_errors
from playground.ui.train.export_panel import file_name

MAX_TEXT = 20_000_000  # characters
MAX_PROMPT = 20_000
MAX_NEW_TOKENS = 1_000
MAX_PATTERN = 128  # tokens a side
Answer = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """The endpoints. Each raises ValueError with one sentence, which callers receive as the error's message."""

    services: Services

    def train(
        self,
        preset: str = "modern",
        corpus: str = "tales",
        settings: dict = {},  # noqa: B006 - never changed; Gradio reads the default
        text: str = "",
        name: str = "",
        token: str = "",
    ) -> dict:
        """Train a small language model from scratch, in the background; see `status` and `metrics` for its progress.

        Args:
            preset: Architecture to start from: classic, modern, mixture or gpt-oss.
            corpus: Dataset to train on: tales, python_source, a task such as sort, or own together with `text`.
            settings: Any other setting by its field name, such as {"n_layer": 3, "steps": 200, "learning_rate": 0.003}.
            text: Your own text, instead of the dataset.
            name: Name of the run; chosen automatically if empty.
            token: Your secret from an earlier call; if it is empty, a public playground creates a new one.

        Returns:
            The run's id, its state, your token, and notes on settings that were adjusted.
        """
        visitor = token or self.services.token("")
        owner = self.services.visitor(visitor)
        self.services.launcher.admit(owner)
        model, train = _split(settings)
        own = _text(text, "Text", MAX_TEXT) or None
        prepared = prepare_run(
            preset, model, {**train, **({} if own else {"corpus": corpus})}, own,
            cache_dir=self.services.cache_dir, limits=self.services.limits,
        )  # fmt: skip
        run = create_run(self.services.store, prepared, name=_text(name, "Name", 200), owner=owner)
        state = self.services.launcher.begin(run, owner).state
        secret = visitor if self.services.public else ""
        return {"run": run.id, "name": run.name, "state": state, "token": secret, "notes": list(prepared.notes)}

    def stop(self, run: str, token: str = "") -> dict:
        """Stop a run that is training or queued; its progress is saved, and it can be resumed from the page.

        Args:
            run: The run's id.
            token: Your secret, as `train` returned it.

        Returns:
            The run's state, and a message.
        """
        now = self.services.launcher.stop(run, self.services.visitor(token))
        return {"run": run, "state": now.state, "message": now.message}

    def status(self, run: str = "", token: str = "") -> dict:
        """The progress of a run, or, without an id, all runs that you may see.

        Args:
            run: The run's id, or empty.
            token: Your secret, as `train` returned it.

        Returns:
            State, step, steps, place in the queue, tokens per second and seconds left; or a list of runs.
        """
        if run:
            return self._status(self.services.run(run, token))
        visible = self.services.store.list(self.services.visitor(token))
        return {"runs": [{"run": each.id, "name": each.name, "state": each.state()} for each in visible]}

    def _status(self, run: Run) -> Answer:
        now = self.services.curves.since(run)
        facts = {
            name: now[name]
            for name in ("name", "state", "message", "step", "steps", "tokens_per_second", "eta_seconds")
        }
        return {
            "run": run.id,
            **facts,
            "queue": self.services.launcher.position(run.id),
            "saved_steps": run.steps_available(),
        }

    def metrics(self, run: str, token: str = "") -> dict:
        """The measured curves of a run. Losses are in nats per token.

        Args:
            run: The run's id.
            token: Your secret, as `train` returned it.

        Returns:
            Columns of the training steps (thinned to about 2,000 points), of the evaluations (`loss_se` and
            `bits_per_byte_se` are standard errors over windows of the validation text), and the samples. `tokens` and
            `text` are digests: losses per token of two runs compare only where both are equal, bits per byte where
            `text` is.
        """
        now = self.services.curves.since(self.services.run(run, token))
        names = ("step", "train", "validation", "samples", "bits_per_nat", "tokens", "text")
        return {name: now[name] for name in names}

    def generate(
        self,
        run: str,
        prompt: str = "",
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        max_new_tokens: int = 200,
        seed: int = 0,
        step: int = -1,
        token: str = "",
    ) -> dict:
        """Generate a continuation of a text.

        Args:
            run: The run's id; `status` without an id also lists those that ship with the playground.
            prompt: The text to continue.
            temperature: 0 always takes the most likely token; 1 samples from the distribution of the model.
            top_k: Only the k most likely tokens can be drawn; 0 is no limit.
            top_p: Only the most likely tokens that together have this probability can be drawn.
            max_new_tokens: Number of tokens to generate, at most 1,000; fewer if the model ends the text earlier.
            seed: The same seed gives the same text.
            step: A saved step of the run; -1 is the newest.
            token: Your secret, as `train` returned it.

        Returns:
            The generated text, and each token with its probability before any filter.
        """
        found = self.services.run(run, token)
        config = GenerationConfig(
            temperature=temperature, top_k=top_k, top_p=top_p, max_new_tokens=max_new_tokens, seed=seed
        )
        self.services.limits.check_writing(config.max_new_tokens)
        if config.max_new_tokens > MAX_NEW_TOKENS:
            raise ValueError(f"Max new tokens must be 1 to {MAX_NEW_TOKENS:,}; {config.max_new_tokens:,} is not.")
        model = self.services.models.get(found, _step(step))
        ids = encode_prompt(found.tokenizer, _text(prompt, "Prompt", MAX_PROMPT))
        written = list(until_end(generate(model, ids, config), found.tokenizer, config))
        decoder = StreamDecoder(found.tokenizer, ids)
        text = "".join(decoder.feed(each.id) for each in written) + decoder.finish()
        shown = pieces(found.tokenizer, [each.id for each in written])
        tokens = [[piece, round(each.probability, 5)] for piece, each in zip(shown, written, strict=True)]
        return {"text": text, "tokens": tokens}

    def attention(self, run: str, text: str, layer: int = 1, head: int = 1, step: int = -1, token: str = "") -> dict:
        """The attention weights of one head for a text.

        Args:
            run: The run's id.
            text: The text to read; its last 128 tokens at most.
            layer: Which layer, from 1.
            head: Which head, from 1.
            step: A saved step of the run; -1 is the newest.
            token: Your secret, as `train` returned it.

        Returns:
            The tokens, and for each of them its attention weights on all of them. A row sums to 1, or to less in a
            model with a sink logit.
        """
        found = self.services.run(run, token)
        for label, value, n in (("Layer", layer, found.model.n_layer), ("Head", head, found.model.n_head)):
            if type(value) is not int or not 1 <= value <= n:
                raise ValueError(f"{label} must be 1 to {n} in this model; {str(value)[:20]} is not.")
        ids = encode_prompt(found.tokenizer, _text(text, "Text", MAX_PROMPT))[
            -min(MAX_PATTERN, found.model.block_size) :
        ]
        pattern = attention_patterns(self.services.models.get(found, _step(step)), ids)[layer - 1, head - 1]
        return {
            "tokens": pieces(found.tokenizer, ids),
            "weights": [[round(float(w), 5) for w in row] for row in pattern],
        }

    def export(self, run: str, format: str = "code", step: int = -1, token: str = "") -> dict:
        """Export a model: one Python file, a folder for Transformers, or all files of the run.

        Args:
            run: The run's id.
            format: code (one file that defines and trains this model with PyTorch alone), transformers or safetensors.
            step: A saved step of the run; -1 is the newest.
            token: Your secret, as `train` returned it.

        Returns:
            A file's name and its content in base64 (a zip of the folder), and what was checked.
        """
        if format not in FORMATS:
            raise ValueError(f"Format must be one of {', '.join(FORMATS)}; {str(format)[:40]!r} is not.")
        found = self.services.run(run, token)
        with tempfile.TemporaryDirectory(prefix="playground-api-") as place:
            folder = Path(place) / f"{file_name(found.name)}-{format}"
            done = export_run(
                found, folder, format, _step(step) if format != "code" else None,
                cache_dir=self.services.cache_dir, models=self.services.models,
            )  # fmt: skip
            archive = folder.with_suffix(".zip")
            zip_folder(folder, archive)
            return {
                "name": archive.name,
                "base64": base64.b64encode(archive.read_bytes()).decode("ascii"),
                "said": done.said,
            }


def add_api(services: Services) -> None:
    """Add the endpoints to the `gr.Blocks` in which this is called."""
    api = Api(services)
    for function, limit in (
        (api.train, 2), (api.stop, None), (api.status, None), (api.metrics, None), (api.generate, 2), (api.attention, 2),
        (api.export, 1),
    ):  # fmt: skip
        endpoint = show_errors(function, as_html=False)
        endpoint.__doc__ = function.__doc__
        gr.api(endpoint, api_name=function.__name__, concurrency_limit=limit)  # type: ignore[attr-defined]


def _split(settings: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings by the config that they belong to. Raises ValueError for one that neither knows."""
    if not isinstance(settings, dict):
        raise ValueError('Settings must be given by name, as in {"n_layer": 3}.')
    kinds, settings = setting_kinds(), current_names(settings)
    for name in settings:
        if name not in kinds:
            raise ValueError(f"Unknown setting {str(name)[:40]!r}. Known settings: {', '.join(sorted(kinds))}.")
    model, train = (
        {name: value for name, value in settings.items() if kinds[name] is kind} for kind in (ModelConfig, TrainConfig)
    )
    return model, train


def _text(value: object, label: str, most: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{label} must be text.")
    if len(value) > most:
        raise ValueError(f"{label} has {counted(len(value), 'character')}; the limit here is {most:,}.")
    return value


def _step(step: object) -> int | None:
    """A saved step, or None for the newest."""
    if type(step) is not int:
        raise ValueError(f"Step must be a whole number, -1 for the newest; {str(step)[:20]} is not.")
    return None if step < 0 else step
