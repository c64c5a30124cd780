"""The command line as its users meet it: arguments in; output, complaints and exit code out."""

import math
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from playground.__main__ import main
from playground.cli import train
from playground.cli.command import short_ids
from playground.cli.commands import COMMANDS
from playground.data.sources import TextFile, write_text_file
from playground.runs.store import status
from playground.runs.store.log import LogWriter
from playground.runs.store.paths import code_root
from playground.runs.store.run_store import RunStore
from playground.runs.store.status import Status
from playground.train.events import Started, StepDone

Captured = pytest.CaptureFixture[str]

TINY = [
    *("--steps", "20", "--seed", "3"),
    *(f"--set={name}={value}" for name, value in {
        "n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "eval_tokens": 64,
        "corpus_bytes": 20_000, "sample_interval": 0, "eval_interval": 10, "learning_rate": 1e-3, "bias": "true",
    }.items()),
]  # fmt: skip


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("playground.cli.commands.gallery_root", lambda: tmp_path / "gallery")
    monkeypatch.setattr(
        "playground.cli.serve.prepare_process", lambda: None
    )  # changes how this process allocates memory
    return tmp_path / "data"


def trained(capsys: Captured, *more: str) -> str:
    assert main(["train", *TINY, *more]) == 0
    return capsys.readouterr().out.strip().splitlines()[-1]


def test_the_list_of_runs_names_the_step_of_an_earlier_evaluation(root: Path, capsys: Captured) -> None:
    run = RunStore(root).get(trained(capsys))
    for event in (Started(20, 30, 1, 1, 1, 1.44), StepDone(21, 672, 1.0, 2.5, 1.0, 1e-3)):
        with LogWriter(run.log) as log:
            log.append(event)
    assert main(["runs"]) == 0
    assert re.search(
        r"21/20  \d\.\d{4} ± \d\.\d{4} at step 20 +\d\.\d{4} ± \d\.\d{4}$", capsys.readouterr().out.strip()
    )


def test_bpe_is_learned_and_goes_with_the_run(root: Path, capsys: Captured) -> None:
    run = RunStore(root).get(trained(capsys, "--tokenizer", "bpe", "--set", "bpe_vocab=400"))
    assert run.model.vocab_size == run.tokenizer.vocab_size == 400
    assert main(["sample", run.id, "--prompt", "Once é", "--tokens", "10", "--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith("Once é")
    file = str(run.path / "tokenizer.json")
    again = RunStore(root).get(trained(capsys, "--tokenizer-file", file))
    assert again.train.tokenizer == "imported"
    assert again.tokenizer.encode("a story").tolist() == run.tokenizer.encode("a story").tolist()


def test_bpe_says_what_it_reached(root: Path, capsys: Captured) -> None:
    assert main(["train", *TINY, "--tokenizer", "bpe", "--set", "bpe_vocab=20000"]) == 0
    assert re.search(r"The vocabulary stopped at [\d,]+ of 20,000 tokens", capsys.readouterr().err)


def test_wrong_tokenizers_are_a_sentence(root: Path, capsys: Captured, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}", "utf-8")
    for more, message in (
        (["--tokenizer-file", str(broken)], "has no vocabulary"),
        (["--tokenizer-file", str(tmp_path / "none.json")], "Cannot read"),
        (["--tokenizer", "imported"], "no file was given"),
        (["--tokenizer", "wordpiece"], "must be one of byte, char, bpe, imported"),
        (["--tokenizer", "bpe", "--set", "bpe_vocab=99999"], "BPE vocabulary size must be 256 to 32000"),
        (["--tokenizer", "bpe", "--corpus", "sort"], "scored letter by letter"),
    ):
        assert main(["train", *TINY, *more]) == 2
        assert message in capsys.readouterr().err
    assert RunStore(root).list() == []


@pytest.mark.slow
def test_train_list_sample(root: Path, capsys: Captured) -> None:
    assert main(["train", "--preset", "classic", *TINY, "--name", "my run"]) == 0
    out, err = capsys.readouterr()
    run_id = out.strip().splitlines()[-1]
    assert re.fullmatch("[0-9a-f]{32}", run_id)
    assert re.search(r"step 20/20  loss \d\.\d{3}  validation \d\.\d{3} ± \d\.\d{3}  [\d,]+ tokens/s  0:00 left", err)
    last = next(line for line in reversed(err.splitlines()) if line.startswith("Validation loss at step 20: "))
    loss, loss_se, bits, bits_se = map(float, re.findall(r"\d\.\d{4}", last))
    assert "nats per token, or" in last and "bits per byte; ± is the standard error" in last
    assert 0 < loss_se < loss and (bits, bits_se) == pytest.approx(
        (loss / math.log(2), loss_se / math.log(2)), abs=2e-4
    )
    run = RunStore(root).get(run_id)
    assert (run.state(), run.train.seed, run.model.norm, run.model.bias) == ("finished", 3, "layernorm", True)

    assert main(["runs"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        rf"{run_id[:8]}  my run  finished  20/20  \d\.\d{{4}} ± \d\.\d{{4}} +{bits:.4f} ± {bits_se:.4f}", table[1]
    )

    texts = []
    for name in (run_id, run_id[:8], run_id[:8].upper(), "my run", "My Run"):
        assert (
            main(["sample", name, "--prompt", "Once é", "--tokens", "30", "--temperature", "0.7", "--seed", "1"]) == 0
        )
        texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 1
    assert texts[0].startswith("Once é")
    assert len(texts[0]) > 10
    assert main(["sample", run_id, "--prompt", "Once é", "--tokens", "30", "--temperature", "0.7", "--seed", "2"]) == 0
    assert capsys.readouterr().out != texts[0]

    written, shaped = texts[0], ["--prompt", "Once é", "--tokens", "30", "--temperature", "0.7", "--seed", "1"]
    assert main(["sample", run_id, *shaped, "--samples", "2"]) == 0
    both = capsys.readouterr().out.split("\n---\n")
    assert both[0] == written[:-1], "the first of several samples is the one written alone"
    assert both[1] not in ("", both[0])
    stop = written[12:15].replace("\n", r"\n")
    assert main(["sample", run_id, *shaped, "--stop", "never ever", "--stop", stop]) == 0
    assert capsys.readouterr().out == written[: written.index(written[12:15], 6)] + "\n"


def test_an_own_text(root: Path, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"one two three\r\n" * 200)
    run = RunStore(root).get(trained(capsys, "--text", str(path), "--tokenizer", "char"))
    assert run.own_text() == "one two three\n" * 200
    assert run.model.vocab_size == len(set("one two three\n"))
    assert run.name == "Modern on Your own text"
    assert main(["sample", run.id[:6], "--tokens", "5", "--top-k", "1"]) == 0
    assert main(["sample", run.id[:6], "--prompt", "Z"]) == 2
    assert "never seen 'Z'" in capsys.readouterr().err


def test_several_texts_and_json_lines(root: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.txt").write_bytes(b"one two three\r\n" * 100)
    (tmp_path / "b.md").write_text("# four\n" * 100)
    (tmp_path / "c.jsonl").write_text('{"said": {"en": "five\\n"}}\n' * 100)
    texts = [option for name in ("a.txt", "b.md", "c.jsonl") for option in ("--text", str(tmp_path / name))]
    run = RunStore(root).get(trained(capsys, *texts, "--field", "said.en"))
    assert run.own_text() == "one two three\n" * 100 + "\n" + "# four\n" * 100 + "\n" + "\n\n".join(["five\n"] * 100)
    assert run.train.corpus == "own"
    assert main(["train", *TINY, *texts, "--field", "said.fr"]) == 2
    assert (
        "c.jsonl has no field 'said.fr' in its first 100 lines; its fields with text are: said.en."
        in capsys.readouterr().err
    )
    assert main(["train", *TINY, *texts[:4], "--field", "said"]) == 2
    assert "Field 'said' is for JSON and CSV files; a.txt has no fields." in capsys.readouterr().err
    assert main(["train", *TINY, "--corpus", "sort", "--field", "said"]) == 2
    assert "--field 'said' is a field of the files given with --text." in capsys.readouterr().err
    for option in ("--column", "--split"):
        assert main(["train", *TINY, *texts, option, "said"]) == 2
        assert f"{option} 'said' is of a dataset given with --dataset. Add" in capsys.readouterr().err
    assert main(["train", *TINY, *texts, "--tokenizer", "bpe", "--tokenizer-file", str(tmp_path / "c.jsonl")]) == 2
    assert "--tokenizer-file is another tokenizer than bpe. Omit one of the two." in capsys.readouterr().err
    assert main(["train", *TINY, *texts, "--corpus", "sort"]) == 2
    assert "Use only one of --dataset, --text and --corpus" in capsys.readouterr().err
    assert len(RunStore(root).list()) == 1


def test_a_data_set_of_the_hub(root: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def dataset_text(name: str, column: str, *, split: str, folder: Path, max_bytes: int, **_: object) -> TextFile:
        asked.append((name, column, split, max_bytes))
        return write_text_file(iter(["once upon a time\n" * 200]), folder, f"{name} ({column})")

    monkeypatch.setattr(train, "dataset_text", dataset_text)
    run = RunStore(root).get(trained(capsys, "--dataset", "ann/stories", "--column", "story", "--split", "test"))
    assert asked == [("ann/stories", "story", "test", 20_000)]
    assert run.own_text() == "once upon a time\n" * 200
    assert run.name == "Modern on ann/stories (story)"


def test_the_same_seed_is_the_same_run(root: Path, capsys: Captured) -> None:
    logs = []
    for _ in range(2):
        lines = RunStore(root).get(trained(capsys)).log.read_text().splitlines()
        logs.append([re.findall('"loss":([^,]*)', line) for line in lines])
    assert logs[0] == logs[1]


WRONG = [
    (["--dance"], "Unrecognized arguments: --dance. See python -m playground --help."),
    (["serve", "--port", "http"], "invalid int value: 'http'. See python -m playground serve --help."),
    (["dance"], "invalid choice: 'dance'"),
    (["train", "--steps"], "expected one argument"),
    (["train", "--steps", "3.7"], "Steps must be a whole number; 3.7 is not."),
    (["train", "--steps", "nan"], "Steps must be a number. You sent 'nan'."),
    (["train", "--steps", "0"], "Steps must be 1 to"),
    (["train", "--preset", "vintage"], "invalid choice: 'vintage'"),
    (["train", "--corpus", "nonsense"], "invalid choice: 'nonsense'"),
    (["train", "--tokenizer", "bpe2"], "Tokenizer must be one of"),
    (["train", "--set", "n_layer"], "Unknown setting 'n_layer': write --set NAME=VALUE"),
    (["train", "--set", "colour=red"], "Unknown setting 'colour=red'"),
    (["train", "--set", "n_embd=33"], "not divisible"),
    (["train", "--set", "bias=perhaps"], "Biases must be true or false. You sent 'perhaps'."),
    (["train", "--set", "learning_rate=1e400"], "finite"),
    (["train", "--text", "/no/such/file"], "Cannot read file: No such file or directory."),
    (["train", "--dataset", "stories"], "A dataset is named owner/name"),
    (["train", "--dataset", "a/b", "--column", ""], "Column must be the name"),
    (["train", "--dataset", "a/b", "--text", "x"], "Use only one of --dataset, --text and --corpus"),
    (["train", "--text", "/"], " is a folder or a device. Choose a text file."),
    (["train", "--name", "a\nb"], "1 to 60 printable characters"),
    (["train", *TINY, "--set", "block_size=2048"], "context length 2048 needs at least 2049"),
    (["sample", "zzz"], "No run is called 'zzz'"),
    (["sample", ""], "No run is called ''"),
    (["sample", "../.."], "No run is called '../..'"),
    (["resume", "zzz"], "No run is called 'zzz'"),
    (["stop", "zzz"], "No run or race of yours is called 'zzz'"),
    (["delete"], "Give either runs to delete or --all."),
    (["delete", "zzz", "--all"], "Give either runs to delete or --all."),
    (["export-all", "/no/such/folder/runs.zip"], "runs.zip could not be written: No such file or directory."),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_input_is_one_sentence_and_exit_code_two(
    arguments: list[str], message: str, root: Path, capsys: Captured
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not root.exists() or RunStore(root).list() == []


@pytest.mark.parametrize(
    ("arguments", "port", "folder"),
    [([], None, "data"), (["--port", "7000"], 7000, "data"), (["serve", "--data", "own"], None, "own")],
)
def test_the_app_is_the_default(
    arguments: list[str], port: int | None, folder: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = []
    serve = replace(COMMANDS["serve"], run=lambda options, store: served.append((options.port, store.root)) or 0)
    monkeypatch.setitem(COMMANDS, "serve", serve)
    monkeypatch.chdir(root.parent)
    assert main(arguments) == 0
    assert served == [(port, root.parent / folder)]


def test_clearing_the_queue(root: Path, capsys: Captured) -> None:
    run = RunStore(root).get(trained(capsys))
    status.declare(run.path, Status("queued", queued=1.0))
    assert main(["clear"]) == 0
    assert capsys.readouterr() == ("", "1 waiting job stopped.\n")
    assert run.state() == "stopped"


def test_stopping_clearing_and_deleting(root: Path, capsys: Captured) -> None:
    store = RunStore(root)
    first, second = (store.get(trained(capsys, "--name", name)) for name in ("first", "second"))
    for run in (first, second):
        status.declare(run.path, Status("queued", queued=1.0))
    assert main(["stop", "FIRST"]) == 0
    assert capsys.readouterr() == (f"{first.id}\n", "first: stopped\n")
    assert [run.state() for run in (first, second)] == ["stopped", "queued"]
    assert main(["clear", "--running"]) == 0
    assert capsys.readouterr().err == "1 job stopped.\n"
    assert second.state() == "stopped"
    assert main(["delete", first.id[:8]]) == 0
    assert capsys.readouterr().err == "1 run or race deleted.\n"
    assert [run.name for run in store.list()] == ["second"]
    assert main(["delete", "--all"]) == 2
    assert capsys.readouterr().err == "This would delete 1 run or race. Add --yes to delete.\n"
    assert main(["delete", "--all", "--yes"]) == 0
    assert store.list() == []


def test_a_run_that_trains_is_stopped_or_killed(root: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunStore(root).get(trained(capsys))
    monkeypatch.setattr("playground.runs.queue.control.STOP_SECONDS", 0.1)
    with subprocess.Popen(["sleep", "60"]) as deaf:
        status.declare(run.path, status.running(deaf.pid))
        assert main(["stop", run.id]) == 0
        assert deaf.wait(5) == -signal.SIGTERM
    assert run.status().message == "The training process did not stop in time and was killed after step 20. " + (
        "The checkpoint of step 20 is kept."
    )


def test_exporting_all(root: Path, tmp_path: Path, capsys: Captured) -> None:
    run_id = trained(capsys)
    target = tmp_path / "class.zip"
    assert main(["export-all", str(target)]) == 0
    assert capsys.readouterr() == (f"{target}\n", "1 run exported.\n")
    with zipfile.ZipFile(target) as files:
        assert [name for name in files.namelist() if run_id[:8] not in name] == ["runs.csv"]
    assert main(["export-all", str(target)]) == 2
    assert capsys.readouterr().err == "class.zip exists already. Choose another name.\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_folder_that_cannot_hold_runs(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("")
    assert main(["runs", "--data", str(tmp_path / "file" / "runs")]) == 2
    message = (
        f"Runs cannot be kept in {tmp_path / 'file' / 'runs'}: Not a directory. Choose another folder with --data or"
    )
    assert message in capsys.readouterr().err


def test_wrong_sampling(capsys: Captured) -> None:
    run_id = trained(capsys)
    for option, value, message in (
        ("--temperature", "-1", "Temperature must be 0 to 5"),
        ("--temperature", "hot", "Temperature must be a number. You sent 'hot'."),
        ("--top-k", "3.5", "Top-k must be a whole number"),
        ("--top-p", "1.2", "Top-p must be 0 to 1"),
        ("--min-p", "nan", "Min-p must be a number"),
        ("--repetition-penalty", "0", "Repetition penalty must be 0.1 to 10"),
        ("--samples", "17", "Samples must be 1 to 16"),
        ("--tokens", "0", "Max new tokens must be 1 to"),
        ("--step", "7", "There are no weights of step 7"),
        ("--step", "x", "invalid int value"),
    ):
        assert main(["sample", run_id, option, value]) == 2
        assert message in capsys.readouterr().err
    assert main(["resume", run_id]) == 2
    assert "has already finished" in capsys.readouterr().err


def test_settings_without_effect_are_named(root: Path, capsys: Captured) -> None:
    changes = [option for each in ("bpe_vocab=999", "optimizer=sgd", "beta2=0.9") for option in ("--set", each)]
    assert main(["train", *TINY, *changes]) == 0
    said = capsys.readouterr().err
    assert "bpe_vocab has no effect with these settings." in said and "beta2 has no effect" in said
    assert "optimizer has no effect" not in said


def test_ids_are_shown_as_far_as_they_differ() -> None:
    race = "44f8b303" + "0" * 20
    ids = [f"{race}0000", f"{race}0001", f"{race}0010", "44f8b4" + "0" * 26, "f" * 32]
    shown = short_ids(ids)
    assert [shown[each] for each in ids] == [f"{race}0000", f"{race}0001", f"{race}001", "44f8b400", "f" * 8]
    assert all(sum(other.startswith(beginning) for other in ids) == 1 for beginning in shown.values())
    assert short_ids([]) == {}


def test_names_that_fit_several_runs(root: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["ab" + "0" * 30, "ab" + "1" * 30])
    monkeypatch.setattr(
        "playground.runs.store.run_store.secrets.token_hex", lambda n: next(tokens) if n == 16 else os.urandom(n).hex()
    )
    for _ in range(2):
        trained(capsys)
    assert main(["sample", "ab"]) == 2
    assert "2 runs match 'ab'. Give more of the id." in capsys.readouterr().err
    assert main(["runs"]) == 0
    assert {"ab000000", "ab111111"} <= set(capsys.readouterr().out.split())
    assert main(["sample", "ab1", "--tokens", "1"]) == 0


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(root: Path, capsys: Captured) -> None:
    command = [sys.executable, "-m", "playground", "train", *TINY, "--steps", "100000", "--set", "warmup_steps=0"]
    environment = {**os.environ, "PYTHONPATH": str(code_root())}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    store = RunStore(root)
    deadline = time.monotonic() + 60
    while not any(run.log.exists() and run.log.read_bytes().count(b"StepDone") > 3 for run in store.list()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    run_id = out.strip().splitlines()[-1]
    assert process.returncode == 130
    assert f"Resume with: python -m playground resume {run_id[:8]}" in err
    run = store.get(run_id)
    paused = run.steps_available()[-1]
    assert run.state() == "paused"
    store.extend(run_id, 1)  # cut the run short: only its end is left to train
    path = run.path / "run.json"
    path.write_text(path.read_text().replace("100001", str(paused + 5)))
    assert main(["resume", run_id[:8]]) == 0
    assert capsys.readouterr().out.strip() == run_id
    assert store.get(run_id).steps_available()[-1] == paused + 5


@pytest.mark.slow
def test_output_that_nobody_reads_to_the_end(capsys: Captured) -> None:
    run_id = trained(capsys)
    environment = {**os.environ, "PYTHONPATH": str(code_root())}
    command = f"{sys.executable} -m playground sample {run_id} --tokens 2000 | head -c 10 >/dev/null"
    result = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert result.stderr == ""


def test_export_and_import(root: Path, tmp_path: Path, capsys: Captured) -> None:
    run_id = trained(capsys, "--name", "to go")
    for format, files in (
        ("transformers", {"config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json",
                          "generation_config.json", "README.md"}),
        ("safetensors", {"config.json", "tokenizer.json", "model.safetensors", "events.jsonl", "events.csv", "README.md"}),
        ("code", {"train.py", "text.txt"}),
    ):  # fmt: skip
        folder = tmp_path / format
        assert main(["export", "to go", str(folder), "--format", format]) == 0
        out, err = capsys.readouterr()
        assert out.strip() == str(folder)
        assert {path.name for path in folder.iterdir()} == files
        assert ("largest logit difference" in err) == (format == "transformers")
    assert main(["import", str(tmp_path / "transformers"), "--name", "back"]) == 0
    out, err = capsys.readouterr()
    assert RunStore(root).get(out.strip()).name == "back"
    assert "Imported from the folder transformers." in err
    texts = []
    for name in (run_id, "back"):
        assert main(["sample", name, "--prompt", "Once", "--tokens", "30"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_wrong_exports_and_imports(root: Path, tmp_path: Path, capsys: Captured) -> None:
    run_id = trained(capsys, "--set", "position=sinusoidal")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for arguments, message in (
        (
            ["export", run_id, str(tmp_path / "out")],
            "Positional encoding sinusoidal cannot be expressed in any of GPT2, Llama",
        ),
        (["export", run_id, str(tmp_path / "out"), "--format", "onnx"], "invalid choice: 'onnx'"),
        (["export", run_id, str(tmp_path / "out"), "--format", "code", "--step", "x"], "invalid int value"),
        (["export", run_id, str(tmp_path / "out"), "--format", "safetensors", "--step", "7"], "no weights of step 7"),
        (["export", run_id, str(tmp_path / "file"), "--format", "code"], "file exists already and is not empty"),
        (["export", run_id, str(tmp_path / "file" / "out"), "--format", "safetensors"], "out could not be written"),
        (["export", "zzz", str(tmp_path / "out")], "No run is called 'zzz'"),
        (["import", str(tmp_path / "nowhere")], "There is no folder 'nowhere'"),
        (["import", str(tmp_path / "file")], "There is no folder 'file'"),
        (["import", str(tmp_path / "empty")], "There is no .safetensors file"),
        (["import"], "Give either a folder to import or --hub OWNER/NAME"),
        (["import", "--hub", "https://example.org/a/b"], "is not a repository id. Use the form owner/name"),
    ):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert len(err.strip().splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"data", "empty", "file"}
    assert len(RunStore(root).list()) == 1
