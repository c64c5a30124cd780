"""How a model's next token is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from playground.config.phrases import counted
from playground.config.settings import Settings, setting


@dataclass(frozen=True)
class SampleConfig(Settings):
    """How the next token is chosen from the model's logits, and how many are written."""

    temperature: float = setting(
        0.8, "Temperature", "Below 1 sharpens the distribution, above 1 flattens it; 0 always takes the likeliest.",
        low=0.0, high=5.0, step=0.05,
    )  # fmt: skip
    top_k: int = setting(0, "Top-k", "Keep only the k likeliest tokens. 0 is off.", low=0, high=65_536, step=1)
    top_p: float = setting(
        1.0, "Top-p", "Keep the fewest tokens whose probabilities reach p (nucleus). 1 is off.",
        low=0.0, high=1.0, step=0.01,
    )  # fmt: skip
    min_p: float = setting(
        0.0, "Min-p", "Remove tokens below this share of the likeliest one's probability (Nguyen et al. 2024). 0 is off.",
        low=0.0, high=1.0, step=0.01,
    )  # fmt: skip
    repetition_penalty: float = setting(
        1.0, "Repetition penalty",
        "Divide positive logits of tokens that were there already by this, multiply negative ones (CTRL, Keskar et al. "
        "2019). 1 is off.",
        low=0.1, high=10.0, step=0.01,
    )  # fmt: skip
    max_new_tokens: int = setting(200, "New tokens", "How many tokens to write.", low=1, high=8_192, step=1)
    seed: int = setting(0, "Seed", "The same seed writes the same text.", low=0, high=4_294_967_295, step=1)
    n_sample: int = setting(
        1, "Samples", "How many texts to write at once; they share the reading of the prompt.", low=1, high=16, step=1
    )
    special_tokens: bool = setting(
        True, "Special tokens",
        "Read the prompt as Transformers does: with the special tokens that it names and those that the tokenizer's file "
        "puts before it, such as <s>; and end at the end-of-text token. Without, all is plain text and writing goes on.",
    )  # fmt: skip
    stop: str = setting(
        "", "Stop strings", r"Writing ends before the first of these, one a line; \n is a line break.",
    )  # fmt: skip

    @property
    def stops(self) -> list[str]:
        """The stop strings, line breaks spelled out."""
        return [line.replace("\\n", "\n") for line in self.stop.splitlines() if line]

    def _check_together(self) -> None:
        if len(self.stop) > 1_000:
            raise ValueError(
                f"Stop strings have {counted(len(self.stop), 'character')}; the limit is 1,000. Shorten them."
            )
