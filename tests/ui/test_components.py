"""The custom components, as far as Python sees them: nothing that a model or a visitor writes can become code."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import gradio as gr
import pytest

from playground.ui.components import COMPONENTS, _html, component, script
from playground.ui.theme import CSS_PATH, PLOTLY_PATH, head_html

HOSTILE = "${window.pwned=1} {{x}} `<img src=x onerror=alert(1)></script>"
SCRIPTS = sorted(_html.HERE.glob("*.js"))


def made(name: str, value: dict[str, str] | None = None) -> gr.HTML:
    return component(name, value=value, **dict.fromkeys(COMPONENTS[name].functions, dict))


@pytest.mark.parametrize("name", COMPONENTS)
def test_template_is_a_constant_without_anything_to_evaluate(name: str) -> None:
    hostile = made(name, {"prompt": HOSTILE, "visitor": HOSTILE})
    assert hostile.html_template == made(name).html_template
    assert not re.search(r"\$\{|\{\{|`|\\|<script|\son\w+=", hostile.html_template)
    assert hostile.css_template == ""
    assert hostile.value == {"prompt": HOSTILE, "visitor": HOSTILE}
    assert hostile.js_on_load == script(name) == (_html.HERE / f"{name}.js").read_text(encoding="utf-8")


def test_every_component_has_its_script_and_every_script_its_component() -> None:
    assert {path.name for path in SCRIPTS} == {f"{name}.js" for name in COMPONENTS} | set(_html.SHARED)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_script_uses_its_own_root_and_calls_the_functions_of_its_entry(name: str) -> None:
    text, kind = script(name), COMPONENTS[name]
    assert kind.root in re.findall(r"[\w-]+", text)
    assert set(re.findall(r"\bserver\.(\w+)", text)) == set(kind.functions)


def test_a_wrong_name_fails_when_the_page_is_built() -> None:
    with pytest.raises(KeyError, match="no component 'expert'; there are attention_grid, "):
        component("expert")
    with pytest.raises(TypeError, match=r"'lens_view' takes the server functions \['lens'\], not \['lense'\]"):
        component("lens_view", lense=dict)
    with pytest.raises(TypeError, match=r"\['curves'\], not \[\]"):
        component("compare_chart")
    with pytest.raises(TypeError, match=r"\[\], not \['more'\]"):
        component("data_card", more=dict)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_write_text_only_and_fetch_nothing_from_outside(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", text)
    addresses = set(re.findall(r"https?://[^\"'` ]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a namespace, never fetched
    assert "</script" not in text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path: Any) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the browser tests run these scripts too")
    done = subprocess.run([node, "--check", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_server_functions_keep_their_names_and_their_owner() -> None:
    def first(asked: Any) -> str:
        return f"first {asked}"

    def second(asked: Any) -> str:
        return f"second {asked}"

    one, two = component("live_run", curves=first, band=first), component("compare_chart", curves=second)
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
