"""Training text: corpora (generated, downloaded, or the user's own), algorithmic tasks, n-gram baselines, batches.

Text comes as `str`; sizes are bytes of UTF-8. Nothing in this package knows about models.
"""

from playground.data.corpora import CORPORA, MAX_BYTES, Corpus, check_text, load_text
from playground.data.downloads import DOWNLOADS, Download, fetch
from playground.data.ngram import ngram_bits_per_byte
from playground.data.python_source import python_source
from playground.data.tales import tales
from playground.data.tasks import TASKS, Task, answer_mask, examples, task_text

__all__ = [
    "CORPORA",
    "DOWNLOADS",
    "MAX_BYTES",
    "TASKS",
    "Corpus",
    "Download",
    "Task",
    "answer_mask",
    "check_text",
    "examples",
    "fetch",
    "load_text",
    "ngram_bits_per_byte",
    "python_source",
    "tales",
    "task_text",
]
