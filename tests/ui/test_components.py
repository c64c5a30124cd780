"""The custom components, as far as Python sees them: nothing that a model or a visitor writes can become code."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import gradio as gr
import pytest

from playground.ui import components
from playground.ui.components import _html
from playground.ui.theme import CSS_PATH, PLOTLY_PATH, head_html

HOSTILE = "${window.pwned=1} {{x}} `<img src=x onerror=alert(1)></script>"
FACTORIES: dict[str, Callable[..., gr.HTML]] = {
    "live_run": lambda value: components.live_run(dict, dict, value=value),
    "compare_chart": lambda value: components.compare_chart(dict, value=value),
    "attention_grid": lambda value: components.attention_grid(dict, dict, dict, dict, value=value),
    "data_card": lambda value: components.data_card(value=value),
    "batch_view": lambda value: components.batch_view(dict, value=value),
    "head_by_hand": lambda value: components.head_by_hand(dict, value=value),
    "head_table": lambda value: components.head_table(dict, dict, value=value),
    "causes": lambda value: components.causes(dict, dict, value=value),
    "experts": lambda value: components.experts(dict, dict, dict, value=value),
    "embeddings": lambda value: components.embeddings(dict, dict, dict, dict, value=value),
    "positions": lambda value: components.positions(dict, value=value),
    "probes": lambda value: components.probes(dict, value=value),
    "meaning": lambda value: components.meaning(dict, dict, value=value),
    "lens_view": lambda value: components.lens_view(dict, value=value),
    "link_box": lambda value: components.link_box(value=value),
    "patching": lambda value: components.patching(dict, value=value),
    "race_view": lambda value: components.race_view(dict, dict, value=value),
    "loss_compare": lambda value: components.loss_compare(value=value),
    "token_text": lambda value: components.token_text(value=value),
    "next_token": lambda value: components.next_token(value=value),
    "tokenizer_view": lambda value: components.tokenizer_view(dict, value=value),
    "merge_replay": lambda value: components.merge_replay(dict, value=value),
    "side_by_side": lambda value: components.side_by_side(value=value),
    "line_chart": lambda value: components.line_chart(value=value),
    "cache_slots": lambda value: components.cache_slots(value=value),
    "status_pill": lambda value: components.status_pill(dict, value=value),
}
SCRIPTS = sorted(_html.HERE.glob("*.js"))


@pytest.mark.parametrize("name", FACTORIES)
def test_template_is_a_constant_without_anything_to_evaluate(name: str) -> None:
    hostile = FACTORIES[name]({"prompt": HOSTILE, "visitor": HOSTILE})
    assert hostile.html_template == FACTORIES[name](None).html_template
    assert not re.search(r"\$\{|\{\{|`|\\|<script|\son\w+=", hostile.html_template)
    assert hostile.css_template == ""
    assert hostile.value == {"prompt": HOSTILE, "visitor": HOSTILE}
    assert hostile.js_on_load == (_html.HERE / f"{name}.js").read_text(encoding="utf-8")


def test_every_factory_is_tested_here_and_has_its_script() -> None:
    assert set(FACTORIES) | {"shared_script"} == set(components.__all__)
    assert {script.name for script in SCRIPTS} == {f"{name}.js" for name in FACTORIES} | set(_html.SHARED)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_write_text_only_and_fetch_nothing_from_outside(script: Any) -> None:
    text = script.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", text)
    addresses = set(re.findall(r"https?://[^\"'` ]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a namespace, never fetched
    assert "</script" not in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(script: Any) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the browser tests run these scripts too")
    done = subprocess.run([node, "--check", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_server_functions_keep_their_names_and_their_owner() -> None:
    def first(asked: Any) -> str:
        return f"first {asked}"

    def second(asked: Any) -> str:
        return f"second {asked}"

    one, two = components.live_run(first, first), components.compare_chart(second)
    assert one.curves("x") == "first x"
    assert two.curves("x") == "second x"
    assert [function.__name__ for function in one.server_fns if function.__name__ == "curves"] == ["curves"]


def test_head_carries_the_shared_script_and_one_local_address() -> None:
    head = head_html()
    assert head.count("<script>") == head.count("</script>") == 1
    assert f'content="/gradio_api/file={PLOTLY_PATH.as_posix()}"' in head
    assert PLOTLY_PATH.is_file()
    assert set(re.findall(r"https?://[^\"'` ]+", head)) <= {"http://www.w3.org/2000/svg"}


def test_style_sheet_fetches_nothing_and_has_what_it_documents() -> None:
    css = CSS_PATH.read_text(encoding="utf-8")
    assert "@import" not in css
    assert all(address.startswith('"data:') for address in re.findall(r"url\(([^)]{0,8})", css))
    comment, rules = css.split("*/", 1)
    documented = set(re.findall(r"\.pg-[a-z]+", comment)) - {".pg-"}
    missing = {name for name in documented if not re.search(re.escape(name) + r"[^-\w]", rules)}
    assert not missing


def test_gradio_keeps_every_rule_of_the_style_sheet() -> None:
    """Gradio drops @supports, @container and @layer, and splits selector lists at every comma."""
    css = re.sub(r"/\*.*?\*/", "", CSS_PATH.read_text(encoding="utf-8"), flags=re.S)
    assert set(re.findall(r"@[a-z-]+", css)) <= {"@media", "@keyframes"}
    assert not re.search(r":(?:is|not|where)\([^)]*,", css)
    for block in re.findall(r"@media[^{]*\{((?:[^{}]*\{[^{}]*\})*)", css):
        assert not re.search(r"(?:^|[\s,}])(?:body|:root|\.dark|\.gradio-container)[\s,{]", block)


def test_design_tokens_have_a_dark_twin() -> None:
    css = CSS_PATH.read_text(encoding="utf-8")
    light, dark = (
        set(re.findall(r"(--pg-[a-z-]+):", css.split(start, 1)[1].split("}", 1)[0])) for start in (":root {", ".dark {")
    )
    assert light == dark
    scripts = " ".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    asked = re.search(r"const names = \[(.*?)\]", scripts, re.S)
    assert asked is not None
    assert {f"--pg-{name}" for name in re.findall(r'"(\w+)"', asked.group(1))} <= light
