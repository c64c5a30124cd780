"""Error messages for the user: the kind of error, and which checkpoints are kept."""

from __future__ import annotations

import errno

import torch
from safetensors import SafetensorError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explained(error: BaseException, what: str, memory: str, kept: str) -> str:
    """Why `what` has ended. `memory` says how to reduce memory, `kept` which checkpoints there are."""
    if is_out_of_memory(error):
        return f"Out of memory: {memory}"
    if is_disk_full(error):
        return f"Disk full. {kept} Free some space, then resume."
    if is_read_only(error):
        return f"The disk is read-only. {kept} Make it writable, or ask the host to, then resume."
    if isinstance(error, ValueError):
        return str(error)
    if is_lost_process(error):
        return f"Another process of this {what} ended or could not be reached. {kept} Start all of its processes again."
    return f"An unexpected error ({type(error).__name__}) ended the {what}. {kept}"


def is_out_of_memory(error: BaseException) -> bool:
    """torch's CPU allocator raises a plain RuntimeError, so its text has to be read."""
    text = str(error)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in text or "not enough memory" in text)
    )


def is_lost_process(error: BaseException) -> bool:
    """Whether a message between the processes of a group failed; gloo says so in a plain RuntimeError."""
    words = ("by peer", "Broken pipe", "Timed out", "timed out", "Connection refused")
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error) and any(word in str(error) for word in words)
    )


def is_disk_full(error: BaseException) -> bool:
    """safetensors and torch wrap the system's error in their own, so its text has to be read."""
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    words = ("No space left", "os error 28", "File too large", "os error 27", "Disk quota")
    return isinstance(error, (RuntimeError, SafetensorError)) and any(word in str(error) for word in words)


def is_read_only(error: BaseException) -> bool:
    """As `is_disk_full`, for a disk that the system has locked after a fault."""
    if isinstance(error, OSError):
        return error.errno == errno.EROFS
    return isinstance(error, (RuntimeError, SafetensorError)) and "Read-only file system" in str(error)
