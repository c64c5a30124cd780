"""The types of `ui.components.contracts` as JSDoc typedefs. ``python -m tests.typedefs`` writes them into the scripts."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterator
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)  # fmt: skip

from playground.ui.components import COMPONENTS, Component
from playground.ui.components.contracts.shared import Failure
from playground.ui.scripts import HERE

MARK = "// Types of ui/components/contracts, written by `python -m tests.typedefs`."
COMMON = "types.js"
SCRIPTS = sorted([*HERE.glob("components/*.js"), *HERE.glob("static/*.js")])
PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "any", object: "any"}


def is_record(kind: Any) -> bool:
    """Whether a type is one with keys: a TypedDict, or a dataclass that `asdict` makes one."""
    return is_typeddict(kind) or (isinstance(kind, type) and dataclasses.is_dataclass(kind))


def record_of(kind: Any) -> Any:
    """The dataclass of ``Annotated[dict[str, Any], X]``, or None."""
    return next((one for one in get_args(kind)[1:] if is_record(one)), None) if get_origin(kind) is Annotated else None


def keys(record: Any) -> dict[str, tuple[Any, bool]]:
    """A record's keys with their types, and whether they are required."""
    hints = get_type_hints(record, include_extras=True)
    if not is_typeddict(record):
        return {item.name: (hints[item.name], True) for item in dataclasses.fields(record)}
    found = {}
    for name, hint in hints.items():
        optional = get_origin(hint) is NotRequired
        found[name] = (get_args(hint)[0] if get_origin(hint) in (NotRequired, Required) else hint, not optional)
    return found


def spelled(kind: Any) -> str:
    """A type as JSDoc has it."""
    if (record := record_of(kind)) is not None:
        return str(record.__name__)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return spelled(inner[0])
    if is_record(kind):
        return str(kind.__name__)
    if origin is Literal:
        return " | ".join(f'"{word}"' for word in inner)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(spelled, inner)))
    if origin is list or (origin is tuple and inner[1:] == (...,)):
        item = spelled(inner[0])
        return f"({item})[]" if " | " in item else f"{item}[]"
    if origin is tuple:
        return f"[{', '.join(map(spelled, inner))}]"
    if origin is dict:
        return f"Object<string, {spelled(inner[1])}>"
    return PLAIN[kind]


def typedef(record: Any) -> str:
    """One line of JSDoc."""
    parts = []
    for name, (kind, required) in keys(record).items():
        word = name if name.isidentifier() else f'"{name}"'
        parts.append(f"{word}{'' if required else '?'}: {spelled(kind)}")
    return f"/** @typedef {{{{ {', '.join(parts)} }}}} {record.__name__} */"


def within(kind: Any) -> Iterator[Any]:
    """The records that a type is made of, itself included."""
    record = record_of(kind) or (kind if is_record(kind) else None)
    for inner in [one for one, _ in keys(record).values()] if record else get_args(kind):
        yield from within(inner)
    if record:
        yield record


def records() -> dict[str, list[Any]]:
    """The records that each script declares: its component's own, and in types.js those of several."""
    users: dict[Any, list[str]] = {Failure: [COMMON]}
    for name, component in COMPONENTS.items():
        pairs = [kind for pair in component.functions.values() for kind in pair]
        for record in dict.fromkeys(one for kind in (component.value, *pairs) for one in within(kind)):
            users.setdefault(record, []).append(f"{name}.js")
    declared: dict[str, list[Any]] = {}
    for record, scripts in users.items():
        declared.setdefault(scripts[0] if len(scripts) == 1 else COMMON, []).append(record)
    return declared


def given(component: Component) -> str:
    """One line of JSDoc: what Gradio gives the script of a component."""
    calls = [
        f"{name}: Endpoint<{spelled(asked)}, {spelled(answer)}>"
        for name, (asked, answer) in component.functions.items()
    ]
    server = f", {{ {', '.join(calls)} }}" if calls else ""
    return f"/** @typedef {{Component<{spelled(component.value)}{server}>}} Given */"


def block(script: str) -> str:
    """The lines of a script that declare its types, and import those that several scripts use; "" for none."""
    declared = records().get(script, [])
    lines = list(map(typedef, declared))
    if component := COMPONENTS.get(script.removesuffix(".js")):
        lines.append(given(component))
    if not lines:
        return ""
    elsewhere = {record.__name__ for record in records()[COMMON]} if script != COMMON else set()
    words = set(re.findall(r"\w+", " ".join(re.sub(r"\w+\??: ", "", line) for line in lines)))
    imported = [
        f'/** @import {{ {", ".join(sorted(names))} }} from "../static/{file}" */'
        for file, names in (("gradio.js", words & {"Component", "Endpoint"}), (COMMON, words & elsewhere))
        if names
    ]
    return "\n".join([MARK, *imported, *lines])


def written(text: str, script: str) -> str:
    """A script's text with its block as it ought to be: after the comment at its beginning."""
    text = re.sub(rf"\n{re.escape(MARK)}\n(?:/\*\* @(?:typedef|import) .*\n)+", "", text)
    if not (lines := block(script)):
        return text
    beginning = re.match(r"(?://.*\n)*", text)
    assert beginning is not None
    return f"{text[: beginning.end()]}\n{lines}\n{text[beginning.end() :]}"


def problems(value: Any, kind: Any, at: str = "") -> list[str]:
    """Where a JSON value is not of a type; empty if it is."""
    record, origin, inner = record_of(kind), get_origin(kind), get_args(kind)
    if record is None and origin is Annotated:
        return problems(value, inner[0], at)
    if record is not None or is_record(kind):
        if not isinstance(value, dict):
            return [f"{at}: {value!r} is no {spelled(kind)}"]
        known = keys(record or kind)
        wrong = [f"{at}.{name} is not declared" for name in value.keys() - known.keys()]
        wrong += [f"{at}.{name} is missing" for name, (_, required) in known.items() if required and name not in value]
        return wrong + [
            one
            for name, (item, _) in known.items()
            if name in value
            for one in problems(value[name], item, f"{at}.{name}")
        ]
    if origin in (Union, types.UnionType):
        return [] if any(not problems(value, one) for one in inner) else [f"{at}: {value!r} is no {spelled(kind)}"]
    if origin is Literal:
        return [] if value in inner else [f"{at}: {value!r} is none of {inner}"]
    if origin is dict and isinstance(value, dict):
        return [one for name, item in value.items() for one in problems(item, inner[1], f"{at}[{name!r}]")]
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        kinds = inner if origin is tuple and inner[1:] != (...,) else inner[:1] * len(value)
        if len(kinds) != len(value):
            return [f"{at}: {len(value)} entries instead of {len(kinds)}"]
        return [
            one
            for i, (item, each) in enumerate(zip(value, kinds, strict=True))
            for one in problems(item, each, f"{at}[{i}]")
        ]
    plain = origin is None and (kind in (Any, object) or isinstance(value, (int, float) if kind is float else kind))
    return (
        [] if plain and (kind is bool or kind is Any or type(value) is not bool) else [f"{at}: {value!r} is no {kind}"]
    )


def main() -> None:
    """Write every script's block."""
    for path in SCRIPTS:
        path.write_text(written(path.read_text("utf-8"), path.name), "utf-8")


if __name__ == "__main__":
    main()
