"""The model card: a README.md that says what a folder holds, how the model was made, and how to load it."""

from __future__ import annotations

import json

from playground.config import ModelConfig, TrainConfig, counted, label, spelled
from playground.data.corpora import CORPORA
from playground.interchange.package import Package
from playground.tokenizers.prompts import default_prompt

_LOAD_TRANSFORMERS = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")  # or the path of this folder
tokenizer = AutoTokenizer.from_pretrained(".")
inputs = tokenizer(PROMPT, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=100, do_sample=True)[0]))
```"""
_LOAD_OURS = """```
python -m playground import FOLDER
```"""
_SIZES = ("n_layer", "n_embd", "n_head", "n_kv_head", "block_size", "vocab_size")
_KINDS = ("position", "norm", "mlp", "window", "n_expert", "bias", "tie_embeddings")
_TRAINING = ("corpus", "steps", "batch_size", "grad_accum", "learning_rate", "seed")


def model_card(package: Package, class_name: str | None) -> str:
    """The card, for a folder of Transformers whose model has this class, or for one of ours (None)."""
    parameters = sum(weight.numel() for weight in package.weights.values())
    title = " ".join(package.name.split())
    tags = ["llm-playground", "text-generation"]
    header = {"pipeline_tag": "text-generation", "tags": tags}
    if class_name:
        header["library_name"] = "transformers"
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in header.items()), "---", ""]
    lines += [f"# {_plain(title)}", ""]
    kind = f"`{class_name}`, " if class_name else ""
    rounded = "" if package.precision == "float32" else f", rounded to {package.precision}"
    lines += [
        f"A language model ({kind}{counted(parameters, 'parameter')}), weights of step {package.step:,}{rounded}.",
        "",
    ]
    lines += ["Exported from the LLM Playground, an app for training and inspecting small language models.", ""]
    lines += [
        "## Load",
        "",
        _LOAD_TRANSFORMERS.replace("PROMPT", json.dumps(_prompt(package))) if class_name else _LOAD_OURS,
        "",
    ]
    lines += ["## Architecture", "", *_table(package.config, (*_SIZES, *_KINDS)), ""]
    tokens = counted(package.tokenizer.vocab_size, "token")
    lines += [
        f"Tokenizer: {spelled(package.tokenizer.name)}, {tokens}, {_special(package)}.",
        "",
    ]
    if package.train is not None:
        lines += ["## Training", "", *_table(package.train, _TRAINING), ""]
    measured = [row for row in package.events if row.get("event") == "Evaluated" and row.get("step", 0) <= package.step]
    if measured:
        last = measured[-1]
        error = "" if last.get("loss_se") is None else f" ± {last['loss_se']:.4f} (standard error)"
        lines += [
            f"Validation loss at step {last['step']:,}: {last['loss']:.4f}{error} nats per {_unit(package)}.",
            "",
        ]
    lines += ["## Limitations", "", "Do not rely on the text that this model generates: it may be wrong.", ""]
    return "\n".join(lines)


def _special(package: Package) -> str:
    tokenizer = package.tokenizer
    ids = {"bos": tokenizer.bos, "eos": tokenizer.eos}
    found = [f"{name} {token}" for name, token in ids.items() if token is not None]
    return f"special tokens: {', '.join(found)}" if found else "no special tokens"


def _prompt(package: Package) -> str:
    """A prompt that the model's tokenizer knows: its dataset's if it is one of ours, else any that it can encode."""
    corpus = CORPORA.get(package.train.corpus) if package.train is not None else None
    prompt = corpus.prompt if corpus is not None and corpus.prompt else "Once there was a"
    return default_prompt(package.tokenizer, prompt)


def _unit(package: Package) -> str:
    """What the loss is a mean over: of a task only the answers are predicted."""
    corpus = CORPORA.get(package.train.corpus) if package.train is not None else None
    return "token of the answers" if corpus is not None and corpus.kind == "task" else "token"


def _table(config: ModelConfig | TrainConfig, names: tuple[str, ...]) -> list[str]:
    rows = [f"| {label(type(config), name)} | {_plain(spelled(getattr(config, name)))} |" for name in names]
    return ["| | |", "| --- | --- |", *rows]


def _plain(text: str) -> str:
    """Text with Markdown escaped."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!" else c for c in text)
