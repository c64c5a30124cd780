"""Endpoints of the Attention tab."""

from __future__ import annotations

from playground.interp.attention import as_sprite, attention_patterns
from playground.tokenizers import pieces
from playground.ui.components.contracts.inside import AttentionAnswer
from playground.ui.json_endpoints import Asked, json_endpoint, look_at, png
from playground.ui.services import Services

SPRITE_PIXELS = 36 * 256 * 256  # above this one layer is sent at a time


@json_endpoint
def attention(services: Services, asked: Asked) -> AttentionAnswer:
    """Patterns of a checkpoint on a text: ``{"visitor", "run", "step", "text", "layer"}`` -> tokens, sizes and a sprite.

    If the text is longer than the context, its beginning is dropped, and the note says so.
    """
    look = look_at(services, asked)
    config = look.run.model
    layers = list(range(config.n_layer))
    if config.n_layer * config.n_head * len(look.ids) ** 2 > SPRITE_PIXELS:
        chosen = asked.get("layer")
        layers = [chosen if isinstance(chosen, int) and 0 <= chosen < config.n_layer else 0]
    return {
        "tokens": pieces(look.run.tokenizer, look.ids),
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "layers": layers,
        "size": len(look.ids),
        "png": png(as_sprite(attention_patterns(look.model, look.ids, layers))),
        "note": look.note,
        "windows": list(config.windows),
        "n_sink": config.n_sink,
    }
