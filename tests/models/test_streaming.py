"""StreamingLLM's cache against its closed form, after it has forgotten; and rows of different lengths in one cache."""

import pytest
import torch

from playground.config import GenerationConfig
from playground.inference.decoders import prefill
from playground.inference.generation import DecodingSession, generate
from playground.models.kv_cache import KVCache
from tests.models.oracle import oracle, streamed
from tests.models.variants import DEVICES, VARIANTS, build, tokens

MOVABLE = [name for name, config in VARIANTS.items() if config.position not in ("learned", "sinusoidal")]
SINKS, WINDOW, N = 3, 10, 90  # the ring of 10 goes round seven times


def closed_form(config):
    """One square a layer: a layer that has a window of its own keeps the smaller one."""
    return [streamed(N, SINKS, min(own or WINDOW, WINDOW)) for own in config.windows]


def read(model, x, cache, chunk):
    with torch.no_grad():
        parts = [model.unembed(prefill(model, part, cache)) for part in x.split(chunk, dim=1)]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", MOVABLE)
def test_streaming_equals_the_closed_form(name, dtype, device):
    """Whatever the model was trained with, token by token, in chunks and with a prompt longer than the cache."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=N)
    with torch.no_grad():
        expected = oracle(model, x, closed_form(config))
    model, x = model.to(device, dtype), x.to(device)
    for chunk in (1, 7, N):
        got = read(model, x, KVCache.streaming(config, SINKS, WINDOW, batch_size=2), chunk).cpu()
        assert (got - expected).abs().max() < (2e-5 if dtype == torch.float32 else 1e-12), chunk
        assert torch.equal(got.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("name", ["modern", "partial rope", "alibi"])
def test_positions_inside_the_cache_are_not_those_of_the_text(name):
    """Until something is forgotten both are the same; then they are not, and neither is forgetting one token too few."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=N)
    got = read(model, x, KVCache.streaming(config, SINKS, WINDOW, batch_size=2), N).double()
    seen, _ = streamed(N, SINKS, WINDOW)
    t = torch.arange(N)
    with torch.no_grad():
        original = oracle(model, x, [(seen, (t[:, None] - t[None, :]).double())] * 3)
        late = oracle(model, x, [streamed(N, SINKS, WINDOW + 1)] * 3)
    full = SINKS + WINDOW
    for other in (original, late):
        assert (got - other)[:, :full].abs().max() < 2e-5
        assert (got - other)[:, full:].abs().max() > 1e-3


@pytest.mark.parametrize("name", ["no positions", "alibi", "modern"])
def test_without_sinks_streaming_is_a_rolling_window(name):
    """No sink is further away than it seems, so only the window counts."""
    config = VARIANTS[name]
    model, x = build(config).double(), tokens(config, n=N)
    windowed = build(config.replace(window=WINDOW)).double()
    got = read(model, x, KVCache.streaming(config, 0, WINDOW, batch_size=2), 7)
    with torch.no_grad():
        assert (got - windowed(x)).abs().max() < 1e-12


def test_a_streaming_cache_never_grows_and_never_ends():
    config = VARIANTS["modern"]
    model, cache = build(config), KVCache.streaming(config, SINKS, WINDOW)
    shapes, size = [part.shape for part in cache.keys], cache.n_bytes
    assert shapes[0][2] == SINKS + WINDOW
    read(model, tokens(config, n=4 * config.block_size, batch=1), cache, 50)
    assert [part.shape for part in cache.keys] == shapes
    assert cache.n_bytes == size
    held = cache.rings[0].slot_positions[0]
    last = 4 * config.block_size
    assert sorted(held.tolist()) == [*range(SINKS), *range(last - WINDOW, last)]


@pytest.mark.parametrize("name", ["classic", "sinusoidal"])
def test_positions_mixed_into_the_keys_cannot_be_moved(name):
    with pytest.raises(ValueError, match=r"already mixed into them\. Use a model with RoPE, ALiBi or no positions"):
        KVCache.streaming(VARIANTS[name], SINKS, WINDOW)


@pytest.mark.parametrize(("n_sink", "window"), [(0, 0), (-1, 5)])
def test_streaming_needs_a_window(n_sink, window):
    with pytest.raises(ValueError, match="window of 1 or more and 0 sinks or more"):
        KVCache.streaming(VARIANTS["modern"], n_sink, window)


def test_a_reader_streams_past_the_context():
    """Greedy text from a streaming cache is what the closed form says, token for token, beyond the trained context."""
    config = VARIANTS["modern"].replace(block_size=32)
    model, prompt = build(config), tokens(config, n=5, batch=1)
    reader, text = DecodingSession(model, KVCache.streaming(config, SINKS, WINDOW)), prompt[0].tolist()
    assert reader.rolls
    logits = reader.feed(text)
    while len(text) < N:
        text.append(int(logits.argmax()))
        logits = reader.feed(text[-1:])
    with torch.no_grad():
        expected = oracle(model, torch.tensor([text]), closed_form(config))[0].argmax(-1)
    assert text[5:] == expected[4:-1].tolist()


@pytest.mark.parametrize("name", ["window", "window alibi", "modern", "local and global", "gpt-oss", "classic"])
def test_generation_beyond_the_context_uses_what_fits(name):
    """A rolling model's text is that of one masked pass; others reread, and none ever fails."""
    config = VARIANTS[name].replace(block_size=32)
    model = build(config)
    written = [token.id for token in generate(model, [1, 2, 3], GenerationConfig(temperature=0, max_new_tokens=80))]
    assert len(written) == 80
    if config.window and not config.global_every:
        text = torch.tensor([[1, 2, 3, *written]])
        with torch.no_grad():
            assert written == model(text)[0].argmax(-1)[2:-1].tolist()


LENGTHS = (5, 23, 40)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", VARIANTS)
def test_prompts_of_different_lengths_share_a_cache(name, side, device):
    """Each row says what its prompt alone would have said: at every token of the prompt, and while it writes on."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=60, batch=3)
    padded, valid = torch.zeros(3, 40, dtype=torch.long), torch.zeros(3, 40, dtype=torch.bool)
    for row, n in enumerate(LENGTHS):
        place = slice(40 - n, 40) if side == "left" else slice(0, n)
        padded[row, place], valid[row, place] = x[row, :n], True
    model, padded, valid, x = model.to(device), padded.to(device), valid.to(device), x.to(device)
    cache = KVCache(config, batch_size=3)
    with torch.no_grad():
        prompts = model.unembed(model.hidden(padded, cache=cache, valid=valid))
        uncached = model.unembed(model.hidden(padded, valid=valid))
        rest = []
        for step in range(20):  # what follows differs from row to row, and stands at different positions
            fresh = torch.stack([x[row, n + step] for row, n in enumerate(LENGTHS)])
            rest.append(model.unembed(model.hidden(fresh[:, None], cache=cache)))
        for row, n in enumerate(LENGTHS):
            alone = model(x[row : row + 1, : n + 20])[0]
            assert (prompts[row][valid[row]] - alone[:n]).abs().max() < 2e-5
            assert (uncached[row][valid[row]] - alone[:n]).abs().max() < 2e-5
            assert (torch.cat(rest, dim=1)[row] - alone[n:]).abs().max() < 2e-5
    assert cache.lengths.tolist() == [n + 20 for n in LENGTHS]


@pytest.mark.parametrize("name", ["modern", "alibi", "no positions"])
def test_prompts_of_different_lengths_can_stream(name):
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=N, batch=2)
    valid = torch.ones(2, 40, dtype=torch.bool)
    valid[0, :25] = False
    padded = torch.stack([torch.cat((torch.zeros(25, dtype=torch.long), x[0, :15])), x[1, :40]])
    cache = KVCache.streaming(config, SINKS, WINDOW, batch_size=2)
    with torch.no_grad():
        prefill(model, padded, cache, valid)
        rest = [
            model.unembed(model.hidden(torch.stack([x[0, 15 + i], x[1, 40 + i]])[:, None], cache=cache))
            for i in range(30)
        ]
        for row, n in enumerate((15, 40)):
            expected = oracle(model, x[row : row + 1], closed_form(config))[0, n : n + 30]
            assert (torch.cat(rest, dim=1)[row] - expected).abs().max() < 2e-5


def test_a_streaming_cache_refuses_more_tokens_than_it_can_take_at_once():
    """Beyond its capacity positions shift at every token, so a longer chunk would be another model's answer."""
    config = VARIANTS["modern"]
    model, x = build(config), tokens(config, n=N)
    cache = KVCache.streaming(config, SINKS, WINDOW, batch_size=2)
    with torch.no_grad(), pytest.raises(ValueError, match="feed 90 tokens in chunks of 13 and then 1"):
        model.hidden(x, cache=cache)
