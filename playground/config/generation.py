"""How a model's next token is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from playground.config.phrases import counted
from playground.config.settings import Settings, setting


@dataclass(frozen=True)
class GenerationConfig(Settings):
    """How the next token is chosen from the model's logits, and how many are written."""

    temperature: float = setting(
        0.8, "Temperature", "Below 1 sharpens the distribution, above 1 flattens it. 0: greedy decoding.",
        low=0.0, high=5.0, step=0.05,
    )  # fmt: skip
    top_k: int = setting(0, "Top-k", "Keep only the k most likely tokens. 0: off.", low=0, high=65_536, step=1)
    top_p: float = setting(
        1.0, "Top-p", "Keep the smallest set of tokens whose probabilities sum to at least p (nucleus sampling). 1: off.",
        low=0.0, high=1.0, step=0.01,
    )  # fmt: skip
    min_p: float = setting(
        0.0, "Min-p", "Remove tokens less likely than this fraction of the most likely token's probability (Nguyen et "
                      "al. 2024). 0: off.",
        low=0.0, high=1.0, step=0.01,
    )  # fmt: skip
    repetition_penalty: float = setting(
        1.0, "Repetition penalty",
        "Divide the positive logits of tokens that already occurred by this and multiply the negative ones (CTRL, Keskar et "
        "al. 2019). 1: off.",
        low=0.1, high=10.0, step=0.01,
    )  # fmt: skip
    max_new_tokens: int = setting(
        200, "Max new tokens", "Maximum number of tokens to generate.", low=1, high=8_192, step=1
    )
    seed: int = setting(0, "Seed", "Random seed: the same seed gives the same text.", low=0, high=4_294_967_295, step=1)
    n_sample: int = setting(
        1, "Samples", "Number of texts to generate in one batch; the prompt is processed once.", low=1, high=16, step=1
    )
    special_tokens: bool = setting(
        True, "Special tokens",
        "Encode the prompt as Transformers does: parse special tokens in it, add those that tokenizer.json adds, such as "
        "<s>, and stop at the end-of-text token. Off: the prompt is plain text and generation does not stop there.",
    )  # fmt: skip
    stop: str = setting(
        "", "Stop strings", r"Generation stops before the first of these, one per line; \n is a line break.",
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
