"""docs/architecture.md, CONTRIBUTING.md, SECURITY.md, README.md: the paths and links in them exist."""

from __future__ import annotations

import ast
import re
import statistics

import pytest

from tests.texts import PROJECT

TEXT = (PROJECT / "docs/architecture.md").read_text("utf-8")
DOCS = [str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").rglob("*.md")]
QUESTIONS = re.findall(r"^\| (Wh[^|]+\?) \| `([^`]+)` \|$", TEXT, re.M)


def test_ten_questions_are_answered() -> None:
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize(("question", "path"), QUESTIONS)
def test_the_answer_is_there(question: str, path: str) -> None:
    assert (PROJECT / path).is_file(), question


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+\w+\.(?:py|js|c|txt))`", TEXT))))
def test_a_path_in_the_text_exists(path: str) -> None:
    assert any((PROJECT / folder / path).is_file() for folder in (".", "playground", "playground/ui"))


PATHS = [
    re.findall(r"^\| `(playground/[^`]+)` \| (.+) \|$", part, re.M)
    for part in TEXT.split("## Three paths through the code")[1].split("\n**")[1:]
]


@pytest.mark.parametrize(
    ("files", "most"), list(zip(PATHS, (5, 7, 10), strict=True)), ids=["setting", "metric", "analyze"]
)
def test_a_path_through_the_code_is_short_and_its_files_have_what_it_says(
    files: list[tuple[str, str]], most: int
) -> None:
    assert 0 < len(files) <= most
    for path, words in files:
        text = (PROJECT / path).read_text("utf-8")
        names = re.findall(r"`(\w+)`", words)
        assert names, path
        assert [name for name in names if not re.search(rf"\b{name}\b", text)] == [], path


def named_in(name: str, *folders: str) -> set[str]:
    """The files of the package, or of some folders of it, in which a name stands."""
    files = (path for folder in folders or [""] for path in (PROJECT / "playground" / folder).rglob("*"))
    return {
        path.relative_to(PROJECT / "playground").as_posix()
        for path in files
        if path.suffix in (".py", ".js") and re.search(rf"\b{name}\b", path.read_text("utf-8"))
    }


def test_a_setting_is_named_only_where_it_is_declared_and_where_it_acts() -> None:
    assert named_in("qk_norm", "config", "models", "runs", "ui", "cli") == {
        "config/model.py", "config/presets.py", "models/attention.py",
    }  # fmt: skip


def test_a_training_metric_is_named_only_where_it_is_made_labelled_and_judged() -> None:
    """The trainer, its event and its label; the run doctor and the tile of the live view single this one out."""
    assert named_in("grad_norm") == {
        "train/trainer.py", "train/events.py", "ui/static/metrics.js", "ui/components/live_run.js",
        "analysis/doctor.py",
    }  # fmt: skip


def test_the_paths_of_the_guides_exist() -> None:
    text = "".join((PROJECT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "docs/extending.md"))
    paths = re.findall(r"""(?:`|diff title=")((?:playground|tests|docs)/[\w/]+(?:\.\w+)?/?)[`"]""", text)
    assert len(paths) > 20
    assert [path for path in paths if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "SECURITY.md", *sorted(DOCS)])
def test_links_lead_to_files_and_headings(file: str) -> None:
    text = re.sub(r"^```.*?^```", "", (PROJECT / file).read_text("utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith("http"):
            path, _, heading = link.partition("#")
            target = (PROJECT / file).parent / path if path else PROJECT / file
            assert target.exists(), link
            if heading and target.suffix == ".md":  # names in code: tests/test_docs.py
                assert heading in anchors(target.read_text("utf-8")), link


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown renderer gives the headings of a text."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_files_and_functions_are_short() -> None:
    """At most 400 lines a file, except data; at most 60 a function, half of them at most 8 lines."""
    long, lengths = [], []
    for path in sorted((PROJECT / "playground").rglob("*.py")):
        text = path.read_text("utf-8")
        if text.count("\n") > 400 and path.name != "tale_plots.py":
            long.append(path.name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append(len(range(node.lineno, (node.end_lineno or 0) + 1)))
                long += [f"{path.name}: {node.name}"] if lengths[-1] > 60 else []
    assert not long
    assert statistics.median(lengths) <= 8
