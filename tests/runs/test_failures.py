"""What went wrong, in a sentence that is true of it."""

from __future__ import annotations

import errno

import pytest

from playground.runs.worker.failures import explained

GLOO = (  # as torch 2.13 says it when another rank is killed
    "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:22440: Connection reset "
    "by peer. This is typically caused by a remote worker hanging or bugs in the application."
)
CASES: list[tuple[BaseException, str]] = [
    (
        RuntimeError(GLOO),
        "Another process of this training ended or could not be reached. Kept. Start all of its processes again.",
    ),
    (RuntimeError("[gloo/tcp/pair.cc:1] Broken pipe"), "Another process of this training ended"),
    (RuntimeError("shapes do not match"), "An unexpected error (RuntimeError) ended the training. Kept."),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), "Out of memory: needs 3 GB."),
    (MemoryError(), "Out of memory: needs 3 GB."),
    (OSError(errno.ENOSPC, "No space left on device"), "Disk full. Kept. Free some space, then resume."),
    (
        OSError(errno.EROFS, "Read-only file system"),
        "The disk is read-only. Kept. Make it writable, or ask the host to, then resume.",
    ),
    (ValueError("The text is empty."), "The text is empty."),
    (KeyError("x"), "An unexpected error (KeyError) ended the training. Kept."),
]


@pytest.mark.parametrize(("error", "words"), CASES, ids=lambda case: str(case)[:40])
def test_each_failure_is_called_what_it_is(error: BaseException, words: str) -> None:
    assert explained(error, "training", "needs 3 GB.", "Kept.").startswith(words)
