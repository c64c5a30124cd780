"""What the page and the server say to each other: every component's `value`, the questions of its script, the answers.

All of it travels as JSON. `table` says which types are whose. Each has a ``@typedef`` of the same name and keys in the
scripts, in the component's own if it is the only one that uses it, else in ``static/types.js``; ``python -m tests.typedefs``
writes them, and `tests/ui/test_contracts.py` compares both sides and holds real answers to them.

A question comes from a browser and may hold anything: its type says what the server reads, and the server checks it. Any
answer may be a `Failure` instead. ``Annotated[dict[str, Any], X]`` is a dataclass X that `asdict` made a dictionary.
"""
