"""Hooks of the docs site. Links to files outside docs/ lead to a page with the file, and with ``#name`` to that function.

In a repository browser the same links open the file itself.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(?:#([^)\s]+))?\)")
LANGUAGES = {".py": "python", ".js": "javascript", ".mjs": "javascript", ".c": "c", ".h": "c", ".toml": "toml"}

_FROM: dict[str, Path] = {}  # the files of generated pages, by their place in the site


def line_of(path: Path, name: str) -> int:
    """The line of a file on which a function, class or variable is defined: "attend", "Block.forward". Raises ValueError."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        found = [line for full, line in _definitions(ast.parse(text)) if full == name]
    else:
        definition = rf"^ *(?:[\w*]+ )+\**{re.escape(name)}\b *[(={{]"
        found = [text.count("\n", 0, match.start()) + 1 for match in re.finditer(definition, text, re.M)]
    if not found:
        raise ValueError(f"{path.relative_to(ROOT)} does not define {name}.")
    return found[0]


def _definitions(tree: ast.AST, prefix: str = "") -> list[tuple[str, int]]:
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append((prefix + node.name, node.lineno))
            found += _definitions(node, f"{prefix}{node.name}.") if isinstance(node, ast.ClassDef) else []
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found += [(prefix + target.id, node.lineno) for target in targets if isinstance(target, ast.Name)]
    return found


def linked(source: Path) -> list[tuple[str, Path, str]]:
    """The links of a Markdown file that lead to files of the repository: as written, the file, and the name after #."""
    links = LINK.findall(source.read_text("utf-8"))
    found = [(link, (source.parent / link).resolve(), name) for _, link, name in links if "://" not in link]
    return [(link, target, name) for link, target, name in found if target.is_relative_to(ROOT)]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put all decisions into the navigation, newest first."""
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"), reverse=True)
    assert config.nav is not None
    config.nav[-1]["Decisions"] = [path.relative_to(ROOT / "docs").as_posix() for path in decisions]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to, and for those that such a Markdown file links to."""
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    while waiting:
        for _, target, _ in linked(waiting.pop()):
            uri = site_uri(target)
            if target.is_file() and uri not in files.src_uris:
                files.append(File.generated(config, uri, content=_content(target), inclusion=InclusionLevel.NOT_IN_NAV))
                _FROM[uri] = target
                waiting += [target] if target.suffix == ".md" else []
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links to files outside docs/ lead to their pages, and links with a name to the line of the definition."""
    source = _FROM.get(page.file.src_uri) or Path(page.file.abs_src_path or "")
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(match: re.Match[str]) -> str:
        text, link, name = match[1], match[2], match[3]
        target = (source.parent / link).resolve()
        if "://" in link or not target.is_relative_to(ROOT):
            return match[0]
        if target.is_dir():
            return text
        place = (
            f"#__codelineno-0-{line_of(target, name)}"
            if name and target.suffix in LANGUAGES
            else f"#{name}"
            if name
            else ""
        )
        return f"[{text}]({posixpath.relpath(site_uri(target), folder)}{place})"

    return LINK.sub(replaced, markdown) if source.suffix == ".md" else markdown


def site_uri(path: Path) -> str:
    """Where a file of the repository is in the site: as in docs/, else under project/ or source/."""
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix()
    name = path.relative_to(ROOT).as_posix()
    return f"project/{name}" if path.suffix == ".md" else f"source/{name}.md"


def _content(path: Path) -> str:
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    fence = "`" * 12
    head = f"---\nsearch: {{exclude: true}}\n---\n# {path.relative_to(ROOT).as_posix()}\n\n"
    return f'{head}{fence} {{.{LANGUAGES.get(path.suffix, "text")} linenums="1"}}\n{text}\n{fence}\n'
