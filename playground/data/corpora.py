"""Every text that a model can be trained on, by name, and the one check of a text that a user brings along.

`CORPORA` describes them for forms and help pages, `load_text` makes or fetches one, `training_text` gives that of a run,
and `check_text` is the gate that
forms, API and command line share: what it returns is valid Unicode with `\\n` newlines, and what it refuses it refuses
in one or two sentences that say what was given and what to do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playground.config import TrainConfig, counted
from playground.data.documents import Text
from playground.data.downloads import DOWNLOADS, Progress, fetch
from playground.data.encoding import Checker, decode_utf8, refuse_other_formats
from playground.data.python_source import python_source
from playground.data.tales import tales
from playground.data.tasks import TASKS, task_parts, task_text

UNKNOWN_TEXT = "unknown text"  # the corpus of imported models whose training is not known
MIN_BYTES = 1000
MAX_BYTES = 20_000_000
_MARKER = "\n<|endoftext|>\n"  # between two stories of TinyStories


@dataclass(frozen=True)
class Corpus:
    """One training text. `prompt` is a fitting beginning for samples; `default_bytes` is how much of it is loaded
    unless asked otherwise; `blurb` says what it is and, where it is downloaded, whose and how large. Only what
    `find_corpus` makes of a name that is not in `CORPORA` is of the kind "unknown"."""

    name: str
    label: str
    blurb: str
    kind: Literal["builtin", "task", "download", "own", "unknown"]
    prompt: str
    default_bytes: int


_TASK_PROMPTS = {
    "repeat": "qzkmvxwpjhtrd|",
    "copy": "zebra|",
    "reverse": "stressed|",
    "sort": "playground|",
    "addition": "37+85=",
    "brackets": "([]{<|",
}

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            "tales",
            "Tales",
            "Little stories written by a grammar: who has what, where it was put, what was promised. Always at hand.",
            "builtin",
            "Once there was a",
            4_000_000,
        ),
        Corpus(
            "python_source",
            "Python source",
            "The standard library of the Python that runs this app.",
            "builtin",
            "def ",
            4_000_000,
        ),
        *(
            Corpus(task.name, task.label, f"Task: {task.blurb}", "task", _TASK_PROMPTS[task.name], 2_000_000)
            for task in TASKS.values()
        ),
        Corpus(
            "tiny_shakespeare",
            "Tiny Shakespeare",
            "40,000 lines of Shakespeare's plays, the field's classic small text. Downloads 1.1 MB from GitHub once.",
            "download",
            "ROMEO:\n",
            1_115_394,
        ),
        Corpus(
            "tiny_stories",
            "TinyStories",
            "Short stories by Eldan and Li (CDLA-Sharing-1.0), written by GPT-3.5 and GPT-4 in a small child's words. "
            "Downloads 19.4 MB from Hugging Face once.",
            "download",
            "Once upon a time",
            10_000_000,
        ),
        Corpus("own", "Your own text", "Paste a text or choose a file of up to 20 MB.", "own", "The ", MAX_BYTES),
    )
}


def find_corpus(name: str) -> Corpus:
    """The corpus that a stored run names. A run may come from elsewhere or from another version, so this never raises: of a
    name that is not in `CORPORA` it makes a corpus of kind "unknown", under that name."""
    found = CORPORA.get(name)
    return found or Corpus(
        name, name or UNKNOWN_TEXT, "This dataset is not available here.", "unknown", "The ", MIN_BYTES
    )


def load_text(
    name: str,
    *,
    n_bytes: int | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
    own_text: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Return corpus `name` as text of at most `n_bytes` bytes of UTF-8 (default: the corpus's `default_bytes`).

    `seed` chooses other stories or examples where the text is generated, and is ignored elsewhere. Downloads need
    `cache_dir`, the folder in which they are kept, and report to `progress(bytes so far, bytes in all)`; "own" needs
    `own_text`, which goes through `check_text`. A text that is cut is cut after a line if it has any. In TinyStories
    the marker between stories becomes an empty line. A text whose documents are known is a `documents.Text`: stories, or
    an own text that is one. Raises ValueError for anything that is wrong with the request.
    """
    corpus = CORPORA.get(str(name))  # an API call can send anything
    if corpus is None:
        raise ValueError(f"Dataset must be one of {', '.join(CORPORA)}; {str(name)[:40]!r} is not.")
    size = corpus.default_bytes if n_bytes is None else n_bytes
    _check_text_size(size)
    if name == "tales":
        return tales(size, seed)
    if name == "python_source":
        return python_source(size)
    if corpus.kind == "task":
        return task_text(name, size, seed)
    if corpus.kind == "own":
        return _cut(check_text("" if own_text is None else own_text, stored=True), size)
    if cache_dir is None:
        raise ValueError(f"{corpus.label} is downloaded and needs a cache folder; none was given.")
    download = DOWNLOADS[name]
    path = fetch(
        download.url,
        download.sha256,
        cache_dir / download.file_name,
        max_bytes=download.n_bytes,
        progress=progress,
    )
    return _cut(Text.joined(check_text(path.read_bytes(), name=corpus.label).split(_MARKER)), size)


def training_text(
    train: TrainConfig,
    *,
    n_bytes: int | None = None,
    cache_dir: Path | None = None,
    own_text: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Return the text that a run with these settings reads, both parts of it, for `train.dataset.split_text` to split.

    It is what `load_text` gives for `n_bytes` (default: `train.corpus_bytes`), but of a task the validation part consists
    of held-out problems, unless the run follows task version 1. Raises ValueError as `load_text` does.
    """
    size = train.corpus_bytes if n_bytes is None else n_bytes
    if holds_out_problems(train):
        _check_text_size(size)
        return "".join(task_parts(train.corpus, size, train.validation_fraction))
    return load_text(train.corpus, n_bytes=size, cache_dir=cache_dir, own_text=own_text, progress=progress)


def holds_out_problems(train: TrainConfig) -> bool:
    """Whether a run's text is a task whose validation part has problems of its own (task version 2)."""
    return train.corpus in TASKS and train.task_version >= 2


def check_text(data: bytes | str, *, max_bytes: int = MAX_BYTES, name: str = "text", stored: bool = False) -> str:
    """Return a user's text, from a box (str) or a file (bytes of UTF-8), ready for training.

    A `documents.Text` in which there is nothing to change stays one. Byte order marks at the start are dropped and
    `\\r\\n` and `\\r` become `\\n`, because a model should not spend its capacity on what kind of computer wrote the file;
    everything else, a few control characters included, is kept. Raises ValueError, naming the text by `name`, if it is empty
    or only white space, not UTF-8 or text of another encoding in disguise (with a guess what it is instead), contains a lone
    surrogate, or has more than `max_bytes` bytes.
    A `stored` text, which a run has been trained on, is never refused for looking odd. Linear in time and memory.
    """
    if not isinstance(data, (bytes, str)):  # an API call can send anything
        raise ValueError(f"The {name} must be text; a {type(data).__name__} was sent. Send a string or a UTF-8 file.")
    # A character has at least one byte, so an enormous string is refused before it is encoded.
    if len(data) > max_bytes:
        raise ValueError(_too_large(name, len(data), max_bytes))
    if isinstance(data, bytes):
        text = decode_utf8(data)
    else:
        text = data
        try:
            n_bytes = len(text.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise ValueError(
                f"The {name} contains an invalid character at position {error.start + 1}. Delete it and try again."
            ) from None
        if n_bytes > max_bytes:
            raise ValueError(_too_large(name, n_bytes, max_bytes))
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text or text.isspace():
        raise ValueError(f"The {name} is empty. Paste some text or choose a sample.")
    if not stored:
        shown = "This file" if isinstance(data, bytes) else f"The {name}"
        refuse_other_formats(text[:512].encode("utf-8"), shown)
        checker = Checker()
        checker.add(text)
        checker.finish(shown)
    return data if isinstance(data, Text) and data == text else text


def _check_text_size(n_bytes: int) -> None:
    if not MIN_BYTES <= n_bytes <= MAX_BYTES:
        raise ValueError(f"Dataset size must be {MIN_BYTES:,} to {MAX_BYTES:,} bytes; {n_bytes:,} is not.")


def _too_large(name: str, n_bytes: int, max_bytes: int) -> str:
    given, limit = f"{n_bytes / 1e6:.1f} MB", f"{max_bytes / 1e6:g} MB"
    if given.removesuffix(" MB") == f"{max_bytes / 1e6:.1f}":  # "20.0 MB; the limit is 20 MB" would help nobody
        given, limit = f"{counted(n_bytes, 'byte')}", f"{counted(max_bytes, 'byte')}"
    return f"{name[:1].upper()}{name[1:]} is {given}; the limit here is {limit}. Use a shorter part of it."


def _cut(text: str, n_bytes: int) -> str:
    """The beginning of `text` that fits into `n_bytes`, cut after its last newline there, or where it must be."""
    data = text.encode("utf-8")
    if len(data) <= n_bytes:
        return text
    end = data.rfind(b"\n", 0, n_bytes) + 1
    cut = data[: end or n_bytes].decode("utf-8", errors="ignore")  # ignores only a character cut in two
    return text.part(0, len(cut)) if isinstance(text, Text) else cut
