"""The custom components, one entry each: the empty state, and the server functions that the script can call.

Each has a script of the same name in this folder. What a component's `value`, the questions of its script and the answers
look like is said by the types in `contracts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from playground.ui.components.contracts import inside, shared, texts, training

_GRID = '<path class="pg-ghost-grid" d="M0 20H560M0 65H560M0 110H560M0 155H560"/>'
_UPPER = "M4 12C70 62 130 104 220 122S420 138 556 142"
_LOWER = '<path class="pg-ghost-line" d="M4 12C50 84 100 122 190 136S400 150 556 153"/>'
_CLASSIC = f'<path class="pg-ghost-line pg-ghost-classic" d="{_UPPER}"/>'


@dataclass(frozen=True)
class Component:
    """One kind of component. Its template is evaluated as code in the browser, so everything here is a constant."""

    root: str  # the class of its outermost element
    value: type  # of `value`, a TypedDict
    title: str = ""  # of its empty state; without one the outermost element is all there is
    text: str = ""  # the sentence below
    picture: tuple[str, ...] = ()  # the paths of a drawing above
    attributes: str = ""  # of the outermost element
    functions: Mapping[str, tuple[type, type]] = field(default_factory=dict)  # what its script calls: question, answer
    events: tuple[str, ...] = ()  # what its script triggers

    @property
    def template(self) -> str:
        """The HTML before its script has run."""
        if not self.title:
            return f'<div class="{self.root}"{self.attributes}></div>'
        paths = "".join(f"\n      {path}" for path in self.picture)
        picture = (
            f'\n    <svg viewBox="0 0 560 170" aria-hidden="true" preserveAspectRatio="none">{paths}\n    </svg>'
            if paths
            else ""
        )
        return f"""<div class="{self.root}"{self.attributes}>
  <div class="{self.root}-empty pg-panel{" pg-invite" if picture else ""}">{picture}
    <div class="pg-empty">
      <strong>{self.title}</strong>
      <p>{self.text}</p>
    </div>
  </div>
</div>"""


COMPONENTS = {
    # Attention maps through training: every head as a thumbnail, one of them large, and a timeline that moves them all.
    "attention_grid": Component(
        "pg-attention",
        inside.AttentionValue,
        "See what each token attends to",
        "Choose a model and a sentence: every head's attention appears here.",
        functions={
            "attention": (inside.AttentionQuestion, inside.AttentionAnswer),
            "timeline": (shared.RunQuestion, shared.TimelineAnswer),
            "heads": (shared.TextQuestion, shared.HeadsAnswer),
            "ablate": (shared.AblateQuestion, shared.AblateAnswer),
        },
    ),
    # A batch of training: its rows, one row's inputs over its targets, and one position on its way to a loss.
    "batch_view": Component(
        "pg-batch",
        training.BatchValue,
        "What a training step reads",
        "A few windows of the text as inputs, and the same windows one token later as targets. Choose a run, or press "
        "<b>Preview a batch</b> in the Train tab.",
        functions={"explain": (training.ExplainQuestion, training.ExplainAnswer)},
    ),
    # The slots of a KV cache as tokens come in: what is written where, what is evicted, where the sinks stay.
    "cache_slots": Component(
        "pg-slots",
        texts.SlotsValue,
    ),
    # Switching parts of a model off: what the loss, the next token and the continuation become.
    "causes": Component(
        "pg-causes",
        shared.TextValue,
        "Switch a head off and measure the effect",
        "Choose a model: every head and MLP can be switched off, and all of them ranked.",
        functions={
            "parts": (shared.RunQuestion, inside.PartsAnswer),
            "ablate": (shared.AblateQuestion, shared.AblateAnswer),
        },
    ),
    # The Compare tab's chart: up to eight runs over one another, and one sentence on who is ahead.
    "compare_chart": Component(
        "pg-compare",
        training.CompareValue,
        "Compare training curves",
        "Choose runs to overlay, best of the same dataset with one setting changed.",
        picture=(_GRID, _CLASSIC, _LOWER),
        functions={"curves": (shared.CurvesQuestion, shared.CurvesAnswer)},
        events=("measured",),
    ),
    # What is in a text: sizes, split, what counting knows of it, what stands in it twice, and samples.
    "data_card": Component(
        "pg-data",
        training.DataCardValue,
    ),
    # Vectors of tokens or words as points that move through training, their neighbours, and analogies.
    "embeddings": Component(
        "pg-embeddings",
        shared.TextValue,
        "Watch embeddings form",
        "Choose a model: its tokens or words as points, from the random initialization to the last step.",
        functions={
            "embeddings": (inside.EmbeddingsQuestion, inside.EmbeddingsAnswer),
            "near": (inside.NearQuestion, inside.NearAnswer),
            "analogies": (inside.AnalogyQuestion, inside.AnalogyAnswer),
            "timeline": (shared.RunQuestion, shared.TimelineAnswer),
        },
    ),
    # A mixture of experts at work: who does how much over training, where the user's tokens go, who prefers which kind.
    "experts": Component(
        "pg-experts",
        shared.TextValue,
        "See which expert handles which token",
        "Choose a model with experts: their load over training, your text coloured by expert, and their specialisation.",
        functions={
            "experts": (inside.ExpertsQuestion, inside.ExpertsAnswer),
            "routes": (shared.TextQuestion, inside.RoutesAnswer),
            "timeline": (shared.RunQuestion, shared.TimelineAnswer),
        },
    ),
    # One head, one token, by hand: q·k, scale, mask, softmax, weighted values, and the code that ran.
    "head_by_hand": Component(
        "pg-hand",
        shared.TextValue,
        "Compute one head by hand",
        "Choose a model and a sentence: every number from a query to the output of its head.",
        functions={"head_by_hand": (inside.HandQuestion, inside.HandAnswer)},
    ),
    # What kind of head each is: six scores, now and at every saved step.
    "head_table": Component(
        "pg-headtable",
        shared.TextValue,
        "See what each head does",
        "Choose a model: six attention scores of every head, at each saved step.",
        functions={
            "heads": (shared.TextQuestion, shared.HeadsAnswer),
            "timeline": (shared.RunQuestion, shared.TimelineAnswer),
        },
    ),
    # A text as a model reads it: how much each token surprised it, and what it would have said after every layer.
    "lens_view": Component(
        "pg-lens",
        inside.LensValue,
        "Watch a prediction form",
        "Choose a model and a sentence: its next-token prediction appears after every layer.",
        functions={"lens": (shared.TextQuestion, inside.LensAnswer)},
    ),
    # A few lines over an axis, with a legend that tells them apart without colour too: for results of an experiment.
    "line_chart": Component(
        "pg-lines",
        texts.LineChartValue,
    ),
    # The header's *Copy link*: the address of what is in front, copied, and shown where it could not be.
    "link_box": Component(
        "pg-link",
        training.LinkValue,
        events=("ask",),
    ),
    # The Train tab's answer: a run's state, numbers, curves, one sentence on what to notice, and what it writes.
    "live_run": Component(
        "pg-live",
        training.LiveRunValue,
        "Training curves appear here",
        "Press <b>Start training</b>. The first numbers appear as soon as the training has begun.",
        picture=(
            _GRID,
            '<path class="pg-ghost-band" d="M4 12C60 70 110 112 200 128S400 146 556 150"/>',
            _LOWER,
        ),
        functions={
            "curves": (shared.CurvesQuestion, shared.CurvesAnswer),
            "band": (shared.RunQuestion, training.BandAnswer),
        },
    ),
    # One text, two models: each piece coloured by which of them knew better, and where they differ most.
    "loss_compare": Component(
        "pg-losses",
        training.LossesValue,
        "Where does one predict better?",
        "Press <b>Compare on this text</b>: every token is coloured by the model with the lower loss.",
    ),
    # Searching a corpus by a model's hidden states and by counting letters, and lines of text against each other.
    "meaning": Component(
        "pg-meaning",
        shared.TextValue,
        "Search with the model's embeddings",
        "Choose a model: search its dataset by hidden states, next to a search by letter n-grams.",
        functions={
            "search": (inside.SearchQuestion, inside.SearchAnswer),
            "similar": (inside.SimilarQuestion, inside.SimilarAnswer),
        },
    ),
    # How byte pair encoding learns: a slider replays the merges on a text, with the counts that decided each.
    "merge_replay": Component(
        "pg-replay",
        texts.ReplayValue,
        functions={"replay": (texts.ReplayQuestion, texts.ReplayAnswer)},
    ),
    # The next token's distribution, before and after the filters, answering sliders at once.
    "next_token": Component(
        "pg-next",
        texts.NextTokenValue,
        "Next-token distribution",
        "Enter a prompt: the probabilities of the next token appear here.",
    ),
    # Activation patching: which activations carry what makes the difference between two prompts.
    "patching": Component(
        "pg-patching",
        inside.PatchingValue,
        "Find which activations carry the answer",
        "Two prompts that differ in a word: activations of the one are put into the other, one at a time.",
        functions={"patch": (inside.PatchQuestion, inside.PatchAnswer)},
    ),
    # How a model tells positions apart: a map of similarities, RoPE's frequencies, ALiBi's slopes.
    "positions": Component(
        "pg-positions",
        shared.TextValue,
        "How positions are encoded",
        "Choose a model: the similarity of its positions, and the frequencies of RoPE.",
        functions={"positions": (shared.CheckpointQuestion, inside.PositionsAnswer)},
    ),
    # What can be read off each layer by linear probes, with a baseline and a control.
    "probes": Component(
        "pg-probes",
        shared.TextValue,
        "What does each layer represent?",
        "Choose a model: can a linear probe read where words end, whether a quotation is open, who is speaking?",
        functions={"probes": (shared.CheckpointQuestion, inside.ProbesAnswer)},
    ),
    # A race on the page: its verdict in words, its curves with bands over seeds, what differs, the waterfall, the table.
    "race_view": Component(
        "pg-race",
        training.RaceValue,
        "Which one learns better?",
        "Choose a question under <b>Start a race</b>, or a finished race above. All arms train on the same batches in the "
        "same order, and the verdict has a confidence interval.",
        picture=(_GRID, f'<path class="pg-ghost-band" d="{_UPPER}"/>', _CLASSIC, _LOWER),
        functions={
            "race": (training.RaceQuestion, training.RaceAnswer),
            "file": (training.FileQuestion, training.FileAnswer),
        },
        events=(
            "opened",
            "moved",
        ),
    ),
    # What several models write from the same prompt, each under its name.
    "side_by_side": Component(
        "pg-outputs",
        training.SideBySideValue,
        "Compare continuations",
        "Press <b>Generate from all</b>: each chosen run continues the prompt with the same random numbers.",
    ),
    # The header's pill: what is training right now, in words.
    "status_pill": Component(
        "pg-pill",
        training.LiveValue,
        attributes=' data-state="idle"',
        functions={"live": (training.LiveValue, training.LiveAnswer)},
    ),
    # Generated texts, each token coloured by how much it surprised the model, growing into a tree one can walk.
    "token_text": Component(
        "pg-tokens",
        texts.TextTree,
        "Generate text",
        "Enter a prompt and press <b>Generate</b>. Colours show which tokens were unlikely under the model.",
        events=(
            "choose",
            "branch",
        ),
    ),
    # A text under several tokenizers: its pieces in colour, what they cost, and how a larger vocabulary would pay off.
    "tokenizer_view": Component(
        "pg-readings",
        texts.TokenizeValue,
        "What does a model read?",
        "Not letters, not words: tokens. Enter a text, or choose an example, and see it tokenized.",
        functions={"tokenize": (texts.TokenizeQuestion, texts.TokenizeAnswer)},
    ),
}
