"""Texts that tokenizers get wrong, and random ones made of their parts."""

import random

HARD = [
    "",
    " ",
    "a",
    "Hello, world!  It's 2024:\n\n\tdef f(x):\r\n    return x  \n",
    "नमस्ते दुनिया, यह हिन्दी है। १२३४",
    "今天天气很好，我们去公园散步吧。",
    "مرحبا بالعالم ١٢٣ ‏",
    "👩‍👩‍👧 🏳️‍🌈 🇫🇷 e\u0301 ﷽",
    "NUL \0 BEL \x07 US \x1f FS \x1c NEL \x85 BOM \ufeff NBSP \xa0 LS \u2028 ZWSP \u200b ideographic\u3000space",
    "don't we'll I've they're I'M 'quoted' ''' s't",
    "<|endoftext|> [CLS] <s> </s>",
    "x" * 300 + " " * 300 + "\n" * 300 + "7" * 300 + "!" * 300 + "\u0301" * 300,
    "\u202e right to left \u202c \U0010ffff \ue000",
]
_PARTS = [
    *"abcdefghijklmnopqrstuvwxyz", *"ETAOIN", *"0123456789", *"  \n\n\t\r", *".,;:!?'\"()[]{}<>|/\\#-_=+*&^%$@~`",
    *"éüßñçøå", *"हिन्दीभाषा", *"中文字符测试", *"العربية", *"кириллица", "👩", "\u200d", "🏳️", "\u0301", "\xa0", "\u3000",
    "the ", " of", "ing", "'s", "'ll", "    ", "\0", "\x1c", "\x85", "١", "½", "Ⅷ",
]  # fmt: skip


def fuzz(count: int, seed: int = 0) -> list[str]:
    """Random texts, each from a few of the parts, so that pairs repeat."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        some = rng.sample(_PARTS, rng.randint(1, 12))
        texts.append("".join(rng.choices(some, k=rng.randint(1, 120))))
    return texts
