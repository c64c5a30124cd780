"""Endpoints of the Attention tab."""

from __future__ import annotations

from playground.interp.attention import as_sprite, attention_patterns
from playground.tokenizers import pieces
from playground.ui.components.contracts.inside import AttentionAnswer
from playground.ui.json_endpoints import Request, json_endpoint, model_input, png
from playground.ui.services import Services

SPRITE_PIXELS = 36 * 256 * 256  # above this one layer is sent at a time


@json_endpoint
def attention(services: Services, request: Request) -> AttentionAnswer:
    """Patterns of a checkpoint on a text: ``{"visitor", "run", "step", "text", "layer"}`` -> tokens, sizes and a sprite.

    If the text is longer than the context, its beginning is dropped, and the note says so.
    """
    inputs = model_input(services, request)
    config = inputs.run.model
    layers = list(range(config.n_layer))
    if config.n_layer * config.n_head * len(inputs.ids) ** 2 > SPRITE_PIXELS:
        chosen = request.get("layer")
        layers = [chosen if isinstance(chosen, int) and 0 <= chosen < config.n_layer else 0]
    return {
        "tokens": pieces(inputs.run.tokenizer, inputs.ids),
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "layers": layers,
        "size": len(inputs.ids),
        "png": png(as_sprite(attention_patterns(inputs.model, inputs.ids, layers))),
        "note": inputs.note,
        "windows": list(config.windows),
        "n_sink": config.n_sink,
    }
