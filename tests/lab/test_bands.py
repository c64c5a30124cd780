"""The reference band behind a curve, against the logs it is made from."""

from playground.config import TrainConfig, preset
from playground.lab.bands import find_band
from playground.runs.curves import Curves
from playground.runs.paths import gallery_root
from playground.runs.store import RunStore
from playground.tokenizers import build_tokenizer


def test_bands_are_those_of_the_shipped_runs(tmp_path):
    store = RunStore(tmp_path / "runs", gallery_root())
    curves = Curves(store)
    tokenizer = build_tokenizer("byte", "")
    references = [run for run in store.list() if run.reference]

    def own(name, corpus, **model):
        config = preset(name, **model)
        return store.create(config, TrainConfig(corpus=corpus), tokenizer, name="mine", preset=name)

    for name in ("classic", "modern"):
        for corpus in ("tales", "python_source"):
            band = find_band(own(name, corpus), references, curves)
            assert band is not None, (name, corpus)
            assert band.seeds >= 3
            shown = list(zip(band.low, band.mean, band.high, strict=True))
            assert all(low <= mean <= high for low, mean, high in shown)
            assert band.mean[0] > 5 > band.mean[-1]
            assert band.step == sorted(band.step)
    large = find_band(own("modern", "tales", n_layer=4, block_size=256), references, curves)
    finals = [
        float(curves.evaluations(run)["loss"].iloc[-1])
        for run in references
        if run.name.startswith("Modern on Tales, seed")
    ]
    assert (large.low[-1], large.high[-1]) == (round(min(finals), 5), round(max(finals), 5))
    assert find_band(own("modern", "reverse"), references, curves) is None
