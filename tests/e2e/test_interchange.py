"""A model leaves through the browser and loads in Transformers; one of Hugging Face comes in and writes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
import transformers
from playwright.sync_api import Page, expect

from playground.tokenizers import build_tokenizer, tokenizers_json
from tests.e2e.conftest import App
from tests.e2e.steps import SLOW, open_page, open_tab, set_slider, unfold

GALLERY = "Modern on Tales, seed 0 · reference"


def choose_run(page: Page, name: str) -> None:
    page.locator("#train-run input").click()
    page.get_by_role("option", name=name).first.click()
    expect(page.locator("#train-run input")).to_have_value(name)


def test_a_run_taken_away_loads_in_transformers(page: Page, app: App, tmp_path: Path) -> None:
    open_page(page, app.url)
    choose_run(page, GALLERY)
    unfold(page, "Export")
    expect(page.locator("#away-step input")).to_have_value("1,600", timeout=SLOW)
    with page.expect_download(timeout=SLOW) as downloading:
        page.locator("#away-prepare").click()
    expect(page.locator("#away-said")).to_contain_text("largest logit difference", timeout=SLOW)
    archive = tmp_path / downloading.value.suggested_filename
    downloading.value.save_as(archive)
    with zipfile.ZipFile(archive) as unpacked:
        unpacked.extractall(tmp_path)
    folder = archive.with_suffix("")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer("Once there was a", return_tensors="pt")
    written = tokenizer.decode(model.generate(**ids, max_new_tokens=40, do_sample=False)[0])
    assert written.startswith("Once there was a ")
    assert len(set(written[17:].split())) > 3, "it writes words"

    page.get_by_role("radio", name="Python file", exact=True).check(force=True)
    with page.expect_download(timeout=SLOW) as downloading:
        page.locator("#away-prepare").click()
    names = zipfile.ZipFile(downloading.value.path()).namelist()
    assert [Path(name).name for name in names] == ["text.txt", "train.py"]


@pytest.fixture
def hugging_face(tmp_path: Path) -> Path:
    """A folder as Transformers saves it."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=256, hidden_size=32, intermediate_size=88, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "hf")
    (tmp_path / "hf" / "tokenizer.json").write_text(tokenizers_json(build_tokenizer("byte", "")), "utf-8")
    return tmp_path / "hf"


def test_a_hugging_face_folder_comes_in_and_writes(page: Page, app: App, hugging_face: Path) -> None:
    open_page(page, app.url)
    unfold(page, "Import a model")
    panel = page.locator("#bring-in")
    panel.locator("input[type=file]").set_input_files([str(path) for path in hugging_face.iterdir()])
    expect(panel.get_by_role("button", name="Remove this file")).to_have_count(4, timeout=SLOW)
    panel.get_by_label("Name", exact=True).fill("From elsewhere")
    page.locator("#bring-model").click()
    expect(page.locator("#train-run input")).to_have_value("From elsewhere", timeout=SLOW)
    expect(page.locator("#live-run")).to_contain_text("Imported from uploaded files", timeout=SLOW)
    expect(page.locator("#live-run")).to_contain_text("no training log")
    open_tab(page, "Sample")
    expect(page.locator("#sample-run input")).to_have_value("From elsewhere", timeout=SLOW)
    set_slider(page, "Max new tokens", 20)
    page.locator("#generate").click()
    expect(page.locator("#token-text")).to_contain_text("tokens/s with the KV cache", timeout=SLOW)
    open_tab(page, "Attention")
    expect(page.locator("#attention-grid .pg-heads canvas").first).to_be_visible(timeout=SLOW)


def test_what_cannot_come_in_says_why(page: Page, app: App, hugging_face: Path) -> None:
    pickled = hugging_face / "model.safetensors"
    pickled.write_bytes(b"\x80\x04\x95" + bytes(500))
    open_page(page, app.url)
    unfold(page, "Import a model")
    page.locator("#bring-in input[type=file]").set_input_files([str(path) for path in hugging_face.iterdir()])
    expect(page.locator("#bring-in").get_by_role("button", name="Remove this file")).to_have_count(4, timeout=SLOW)
    page.locator("#bring-model").click()
    expect(page.get_by_text("is a Python pickle, which can run code").first).to_be_visible(timeout=SLOW)


def test_a_public_page_offers_no_repositories(page: Page, public_app: App) -> None:
    open_page(page, public_app.url)
    unfold(page, "Import a model")
    expect(page.locator("#bring-files")).to_be_visible(timeout=SLOW)
    expect(page.locator("#bring-repository")).to_have_count(0)
