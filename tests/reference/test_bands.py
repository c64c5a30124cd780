"""The reference band behind a curve, against the logs and curves it is made from."""

import functools
from dataclasses import replace

import pytest

from playground.config import PRESETS, TrainConfig, preset
from playground.data import corpora
from playground.data.corpora import load_text, training_text
from playground.reference import make_bands
from playground.reference.bands import find_band
from playground.reference.make_bands import PAIRS, SEEDS, make, missing, proposed, read_reference
from playground.reference.make_runs import BUDGET
from playground.runs.curves import Curves
from playground.runs.store.files import write_json
from playground.runs.store.log import LogWriter
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.tokenizers import build_tokenizer, learn_bpe
from playground.train.dataset import prepare
from playground.train.events import Evaluated, Started
from playground.train.trainer import TrainState, train

pytestmark = pytest.mark.slow  # `make check` leaves out what only new reference runs can change

SHIPPED = [pair for pair in PAIRS if read_reference(gallery_root(), *pair) is not None]


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs", gallery_root())


@pytest.fixture(scope="module")
def task_texts():
    """The text of a task takes a second to make, and is the same for all presets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "task_parts", functools.cache(corpora.task_parts))
        yield


def own(store, name, corpus, changes=None, **model):
    settings = TrainConfig(**{"corpus": corpus, "seed": 7, **(changes or {})})
    tokenizer = build_tokenizer(settings.tokenizer, "abc" * 100, vocab_size=257)
    return store.create(preset(name, **model), settings, tokenizer, name="mine", preset=name)


def found(store, run):
    references = [other for other in store.list() if other.reference]
    return find_band(run, references, Curves(store), gallery_root())


@pytest.mark.parametrize(("name", "corpus"), SHIPPED)
def test_what_the_form_proposes_has_the_band_of_these_very_settings(name, corpus, store, task_texts):
    """The settings are the proposal's still; all seeds are there; low, mean and high are those of the seeds."""
    reference, proposal = read_reference(gallery_root(), name, corpus), proposed(name, corpus)
    assert (reference.model, reference.train) == (proposal.model, proposal.train), (
        "the defaults changed: make them again"
    )
    assert set(reference.loss) == set(SEEDS)
    assert reference.step == list(range(0, proposal.train.steps + 1, proposal.train.eval_interval))
    band = found(store, own(store, name, corpus))
    assert band.seconds in reference.seconds.values() and band.seconds == sorted(band.seconds)
    assert (band.seeds, band.step, band.tokens) == (len(SEEDS), reference.step, reference.tokens)
    for i, losses in enumerate(zip(*reference.loss.values(), strict=True)):
        assert (band.low[i], band.high[i]) == (min(losses), max(losses))
        assert band.mean[i] == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    assert 5 < band.mean[0] < 6 and band.mean[-1] < 0.75 * band.mean[0], "from ln 256 to something learned"


def test_every_pair_ships():
    assert list(PAIRS) == SHIPPED
    assert {name for name, _ in PAIRS} == set(PRESETS) - {"speedrun"}  # a recipe for one text, which is downloaded


def test_settings_of_the_large_reference_runs_get_their_band(store):
    settings = {name: value for name, value in BUDGET.items() if name != "corpus"}
    band = found(store, own(store, "modern", "tales", settings, n_layer=4, block_size=256))
    curves = Curves(store)
    runs = [run for run in store.list() if run.name.startswith("Modern on Tales, seed")]
    finals = [float(curves.evaluations(run)["loss"].iloc[-1]) for run in runs]
    assert (band.low[-1], band.high[-1]) == (round(min(finals), 5), round(max(finals), 5))
    assert band.step[-1] == 1600


@pytest.mark.parametrize(
    "changes", [{"corpus_bytes": 3_000_000}, {"validation_fraction": 0.2}, {"tokenizer": "bpe", "bpe_vocab": 300}]
)
def test_another_validation_text_or_other_tokens_have_no_band(changes, store):
    """Neither that of a shipped curve nor that of runs of the same kind of tokenizer."""
    assert found(store, own(store, "modern", "tales", changes)) is None


def test_runs_by_other_rules_of_a_task_have_no_band(tmp_path, store):
    """A run from before task versions keeps its own; one of today is not drawn over what was measured by other rules."""
    reference = read_reference(gallery_root(), "modern", "tales")
    (tmp_path / "bands").mkdir()
    for version in (1, 2):
        values = replace(reference, train=reference.train.replace(corpus="sort", task_version=version)).to_dict()
        if version == 1:
            del values["train"]["task_version"]
        write_json(tmp_path / "bands" / "modern-sort.json", values)
        for asked in (1, 2):
            run = own(store, "modern", "sort", {"task_version": asked})
            assert (find_band(run, [], Curves(store), tmp_path) is not None) is (asked == version)
        made = {(*pair, seed) for *pair, seed in missing(tmp_path, [("modern", "sort")])}
        assert len(made) == (3 if version == 1 else 0), "those of today's rules are made"


def test_runs_of_another_vocabulary_make_no_band(store):
    vocabularies = [learn_bpe(load_text("tales", n_bytes=20_000), size) for size in (260, 270)]
    settings = TrainConfig(corpus="tales", tokenizer="bpe")
    runs = [
        replace(
            store.create(preset("modern"), settings.replace(seed=seed), each, name="r", preset="modern"), reference=True
        )
        for each in vocabularies
        for seed in range(2)
    ]
    mine = store.create(preset("modern"), settings.replace(seed=7), vocabularies[1], name="mine", preset="modern")
    for run in runs:
        with LogWriter(run.log) as log:
            log.append(Started(0, 10, 1, 2, 3, 1.4))
            log.append(Evaluated(0, 0, 0.0, 5.0 if run.tokenizer.vocab_size == 270 else 1.0, 0.1))
    band = find_band(mine, runs, Curves(store))
    assert band is not None and (band.seeds, band.low, band.high) == (2, [5.0], [5.0])


def test_another_tokenizer_or_text_or_no_preset_has_none(store):
    run = own(store, "modern", "tales", {"tokenizer": "char"})
    assert found(store, run) is None
    assert found(store, own(store, "modern", "tiny_stories")) is None
    bare = store.create(preset("modern"), TrainConfig(), build_tokenizer("byte", ""), name="bare", preset="")
    assert found(store, bare) is None


def test_what_is_missing_are_curves_of_todays_proposal(tmp_path):
    assert len(list(missing(tmp_path))) == len(PAIRS) * len(SEEDS)
    reference = read_reference(gallery_root(), "classic", "tales")
    (tmp_path / "bands").mkdir()
    for settings, seeds in ((reference.train, (1,)), (reference.train.replace(steps=999), SEEDS)):
        loss = {seed: losses for seed, losses in reference.loss.items() if seed != 1}
        write_json(tmp_path / "bands" / "classic-tales.json", replace(reference, train=settings, loss=loss).to_dict())
        assert [seed for *pair, seed in missing(tmp_path) if pair == ["classic", "tales"]] == list(seeds)


def test_a_band_is_made_seed_by_seed_from_the_very_run(tmp_path, monkeypatch):
    """The curve is that of a run with the proposal's settings, samples and all; the next seed joins the same file."""
    plain = make_bands.prepare_run
    small = dict(n_layer=1, n_embd=16, n_head=2, block_size=24)
    quick = dict(steps=12, batch_size=2, eval_interval=5, eval_tokens=64, warmup_steps=2, sample_interval=4,
                 corpus_bytes=20_000)  # fmt: skip
    monkeypatch.setattr(
        make_bands, "prepare_run", lambda name, model, settings: plain(name, small, {**settings, **quick})
    )
    assert next(missing(tmp_path)) == ("modern", "tales", 0)
    make(tmp_path, "classic", "sort", 0)
    make(tmp_path, "classic", "sort", 2)
    reference = read_reference(tmp_path, "classic", "sort")
    assert reference.step == [0, 5, 10, 12]
    for seed in (0, 2):
        run = proposed("classic", "sort", seed)
        data = prepare(training_text(run.train), run.tokenizer, run.model, run.train)
        events = train(TrainState.new(run.model, run.train), data, run.train, run.tokenizer)
        expected = [round(event.loss, 4) for event in events if isinstance(event, Evaluated)]
        assert reference.loss[seed] == expected
