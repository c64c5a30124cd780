"""The custom components, as far as Python sees them: nothing that a model or a visitor writes can become code."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr
import pytest

from playground.ui import scripts
from playground.ui.components import COMPONENTS, component
from playground.ui.theme import CSS_PATH, head_html

HOSTILE = "${window.pwned=1} {{x}} `<img src=x onerror=alert(1)></script>"
SCRIPTS = [path for name, path in scripts.PATHS.items() if name != "plotly.min.js"]


def made(name: str, value: dict[str, str] | None = None) -> gr.HTML:
    return component(name, value=value, **dict.fromkeys(COMPONENTS[name].functions, dict))


@pytest.mark.parametrize("name", COMPONENTS)
def test_template_is_a_constant_without_anything_to_evaluate(name: str) -> None:
    hostile = made(name, {"prompt": HOSTILE, "visitor": HOSTILE})
    assert hostile.html_template == made(name).html_template
    assert not re.search(r"\$\{|\{\{|`|\\|<script|\son\w+=", hostile.html_template)
    assert hostile.css_template == ""
    assert hostile.value == {"prompt": HOSTILE, "visitor": HOSTILE}
    assert hostile.js_on_load == made(name).js_on_load
    assert hostile.js_on_load.startswith(f"{scripts.importing(f'components/{name}.js')}.then(")


def test_every_component_has_its_script_and_every_script_its_component() -> None:
    assert {path.stem for path in SCRIPTS if path.parent.name == "components"} == set(COMPONENTS)
    for path in SCRIPTS:
        mounts = len(re.findall(r"^export function mount\(", path.read_text("utf-8"), re.M))
        assert mounts == (path.parent.name == "components"), path


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_script_uses_its_own_root_and_calls_the_functions_of_its_entry(name: str) -> None:
    text, kind = scripts.PATHS[f"components/{name}.js"].read_text("utf-8"), COMPONENTS[name]
    assert kind.root in re.findall(r"[\w-]+", text)
    assert set(re.findall(r"\bserver\.(\w+)", text)) == set(kind.functions)
    assert set(re.findall(r'\btrigger\("(\w+)"', text)) == set(kind.events)
    assert all(callable(getattr(made(name), event)) for event in kind.events)


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


def test_server_functions_keep_their_names_and_their_owner() -> None:
    def first(asked: Any) -> str:
        return f"first {asked}"

    def second(asked: Any) -> str:
        return f"second {asked}"

    one, two = component("live_run", curves=first, band=first), component("compare_chart", curves=second)
    assert one.curves("x") == "first x"
    assert two.curves("x") == "second x"
    assert [function.__name__ for function in one.server_fns if function.__name__ == "curves"] == ["curves"]


def test_the_head_has_an_address_only_on_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert head_html() == ""
    monkeypatch.setenv("SPACE_ID", 'me/"><script>')
    home = "https://huggingface.co/spaces/me/&quot;&gt;&lt;script&gt;"
    assert head_html() == f'<meta name="playground-home" content="{home}">'


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
