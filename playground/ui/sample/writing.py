"""Generation for the Sample tab: tokens are appended to branches, and the page is updated at intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from playground.config import GenerationConfig, counted
from playground.inference.beam import beam_search
from playground.inference.generation import encode_prompt, end_tokens, generate_text_batch
from playground.models.transformer import Transformer
from playground.runs.store.run_store import Run
from playground.tokenizers import Tokenizer, n_tokens
from playground.ui.components.contracts.texts import Branch, TextTree, WrittenToken
from playground.ui.progress import paced
from playground.ui.sample import branches

ALTERNATIVES = 6
UPDATES_PER_SECOND = 8
CHECKPOINTS = 6  # maximum number of checkpoints in a comparison
WAYS = {
    "Decoding": "greedy, sampling, beam",
    "During training": "this run's checkpoints",
    "Two checkpoints": "of any two runs",
}


def whole_ids(run: Run, prompt: str, tokens: list[WrittenToken], config: GenerationConfig) -> list[int]:
    """Ids of a prompt and what was written after it. Raises ValueError for ids outside the run's vocabulary."""
    ids = [token["id"] for token in tokens]
    if not all(0 <= token < n_tokens(run.tokenizer) for token in ids):
        raise ValueError(branches.UNREADABLE)
    return encode_prompt(run.tokenizer, prompt, config.special_tokens) + ids


def grow(
    model: Transformer,
    tokenizer: Tokenizer,
    ids: list[int],
    config: GenerationConfig,
    tree: TextTree,
    growing: list[Branch],
    drawn: int = 0,
    row: int = 0,
) -> Iterator[TextTree]:
    """Continue all `growing` branches, whose text so far is `ids`; yields the tree at intervals.

    `drawn` and `row`: how many random numbers of which of several samples were used.
    """

    def growth() -> Iterator[Callable[[], TextTree]]:
        for pieces in generate_text_batch(model, tokenizer, ids, config, ALTERNATIVES, drawn, row):
            branches.add(tokenizer, growing, pieces)
            yield lambda: branches.snapshot(tree, "writing")

    yield from paced(growth(), UPDATES_PER_SECOND)
    for each in growing:
        each["writing"] = False


@dataclass(frozen=True)
class Job:
    """One of several texts to compare."""

    name: str
    run: Run
    step: int | None
    config: GenerationConfig
    n_beam: int = 0  # 0: no beam search


def jobs(
    way: str,
    config: GenerationConfig,
    n_beam: int,
    run: Run,
    step: int | None,
    other: Run | None,
    other_step: int | None,
) -> list[Job]:
    """The texts to generate for a comparison. `other` is the second run of "Two checkpoints"."""
    config = config.replace(n_sample=1)
    if way == "During training":
        known = run.steps_available()
        kept = {round(n * (len(known) - 1) / (CHECKPOINTS - 1)) for n in range(CHECKPOINTS)} if known else set()
        return [Job(f"step {known[at]:,}", run, known[at], config) for at in sorted(kept)]
    if other is not None:
        return [
            Job(each.name if at is None else f"{each.name} · step {at:,}", each, at, config)
            for each, at in ((run, step), (other, other_step))
        ]
    return [
        Job("greedy", run, step, config.replace(temperature=0.0)),
        Job(f"sampling, temperature {config.temperature:g}", run, step, config),
        Job(f"beam search, {counted(n_beam, 'beam')}", run, step, config, n_beam),
    ]


def generate_all(load: Callable[[Run, int | None], Transformer], todo: list[Job], prompt: str) -> Iterator[TextTree]:
    """Each job on a branch of its own, one after the other. Errors, such as a prompt that cannot be encoded, are shown
    on the branch."""
    roots = [branches.branch(job.name, run=job.run.id, step=job.step) for job in todo]
    tree = branches.new_tree(prompt, roots)
    for each in roots:
        each["writing"] = False
    for job, each in zip(todo, roots, strict=True):
        each["writing"] = True
        try:
            yield from _written(load(job.run, job.step), job, prompt, tree, each)
            each["note"] = " · ".join(filter(None, (likelihood(each["tokens"]), each["note"])))
        except ValueError as error:
            each["note"] = str(error)
        each["writing"] = False
        yield branches.snapshot(tree, "writing")
    yield branches.snapshot(tree, "done", "Same prompt, same seed; log probabilities are those of the model itself.")


def likelihood(tokens: list[WrittenToken]) -> str:
    """The model's probability of a text, as a sentence; empty for an empty text."""
    if not tokens:
        return ""
    total = branches.log_probability(tokens)
    return f"log probability {total / len(tokens):.2f} nats per token, {total:.1f} in total".replace("-", "−")


def _written(model: Transformer, job: Job, prompt: str, tree: TextTree, each: Branch) -> Iterator[TextTree]:
    tokenizer = job.run.tokenizer
    ids = encode_prompt(tokenizer, prompt, job.config.special_tokens)
    if not job.n_beam:
        yield from grow(model, tokenizer, ids, job.config, tree, [each])
        return

    last = end_tokens(tokenizer, job.config)

    def growth() -> Iterator[Callable[[], TextTree]]:
        for beams in beam_search(model, ids, job.config.max_new_tokens, job.n_beam, last):
            each["tokens"] = branches.spelled_out(tokenizer, beams[0].ids, beams[0].probabilities, ids, last)
            yield lambda: branches.snapshot(tree, "writing")

    yield from paced(growth(), UPDATES_PER_SECOND)
    if each["tokens"] and each["tokens"][-1]["id"] in last:
        branches.note_end(tokenizer, each)
    text = "".join(token["text"] for token in each["tokens"])
    ends = [at for stop in job.config.stops if (at := text.find(stop)) >= 0]
    if ends:
        branches.cut(each["tokens"], len(text) - min(ends))
