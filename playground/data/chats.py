"""Chats: lists of messages, each with a role and its content, as in chat data sets. They are read as lines of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playground.config import counted

ROLES = (("role", "content"), ("from", "value"))


def is_chat(value: Any) -> bool:
    """Whether a value is a list of messages."""
    return bool(value) and isinstance(value, list) and all(map(is_message, value))


def is_message(value: Any) -> bool:
    """Whether a value is an object with a role and its content."""
    return isinstance(value, dict) and any(role in value and content in value for role, content in ROLES)


def text_of(value: Any) -> Any:
    """The value of a field as text: a chat as lines, other text unchanged."""
    return chat(value) if is_chat(value) else value


def chat(messages: list[dict[str, Any]]) -> str | None:
    """A chat as text, a message a line: ``user: Hello``. None for a chat without text."""
    lines = [f"{role}: {text}" for role, text, _ in map(_said, messages) if text]
    return "\n".join(lines) or None


def _said(message: dict[str, Any]) -> tuple[Any, str, int]:
    """The role of a message, its text, and how many parts of it are no text."""
    role, content = next((message[role], message[text]) for role, text in ROLES if role in message and text in message)
    if not isinstance(content, list):  # else parts, of which only some may be text
        return role, content if isinstance(content, str) else "", 0
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return role, "\n".join(texts), len(content) - len(texts)


@dataclass
class Silent:
    """What chats have besides text, which is left out: messages without any (tool calls), and parts (images)."""

    messages: int = 0  # of all
    without: int = 0
    parts: int = 0  # of messages with text

    def add(self, value: Any) -> None:
        """Count what is left out of a field's value, if that is a chat with text."""
        if not is_chat(value) or chat(value) is None:
            return
        said = [_said(message) for message in value]
        self.messages += len(said)
        self.without += sum(not text for _, text, _ in said)
        self.parts += sum(parts for _, text, parts in said if text)

    def note(self, where: str) -> str:
        """A sentence on what is left out of the chats in `where`, such as "the field 'messages'", or ""."""
        said = []
        if self.without:
            have = "has" if self.without == 1 else "have"
            said.append(f"{self.without:,} of {counted(self.messages, 'message')} {have} no text (such as tool calls)")
        if self.parts:
            said.append(
                f"{counted(self.parts, 'part')} of messages {'is' if self.parts == 1 else 'are'} no text (such as images)"
            )
        if not said:
            return ""
        are = "is" if self.without + self.parts == 1 else "are"
        return f"In the chats of {where}, {' and '.join(said)} and {are} left out."
