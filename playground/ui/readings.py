"""Guided readings: a few sentences about a run that ships, each with the step, the heads and the token that it speaks of.

They are data, so that a test can hold every claim to the weights that ship.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from playground.runs.reference import reference_id


@dataclass(frozen=True)
class Stage:
    """A few sentences, and what is shown meanwhile.

    Layers, heads and tokens count from 0; several heads are drawn as lines.
    """

    words: str
    step: int
    heads: tuple[tuple[int, int], ...]
    token: int
    off: str = "on"  # what these heads write: "on" as they are, or "zero"


@dataclass(frozen=True)
class Reading:
    """Stages on one text, read by one run that ships."""

    title: str
    run: str
    text: str
    stages: tuple[Stage, ...]

    def as_value(self) -> dict[str, Any]:
        """As the attention grid's script takes it."""
        return {"title": self.title, "stages": [asdict(stage) for stage in self.stages]}


READINGS = {
    "induction": Reading(
        "Watch an induction head form",
        reference_id("induction", 0),
        "thequickbrownfox|thequi",
        (
            Stage(
                "Before training. This run has to copy: letters, a bar, the same letters again. The row in the map is the "
                "i at the end. To know what comes next one would have to find the first i and see what followed it. But "
                "at step 0 every head looks at everything before it alike.",
                0, ((1, 0),), 22,
            ),
            Stage(
                "Step 78. This head has learned that what it needs stands some way back: it looks at a blur of letters a "
                "dozen places before, whatever they are. It cannot tell the right one, and the loss has hardly moved.",
                78, ((1, 0),), 22,
            ),
            Stage(
                "Step 161, first layer. Look at the diagonal just below the main one: this head has begun to look at the "
                "token before. Now every letter carries a note that says which letter it follows.",
                161, ((0, 2),), 22,
            ),
            Stage(
                "Step 161, second layer. That note is what this head was waiting for: it reads i and looks at the c that "
                "followed the first i. A stripe, all along the second copy: an induction head, come up within some 80 of "
                "1,000 steps. See the loss fall at the same time.",
                161, ((1, 0),), 22,
            ),
            Stage(
                "Is it the cause? At the end all three heads of the second layer do this, and here they are switched off. "
                "The loss climbs above where it was before they came, and the text that had gone on with ckbrownfox goes "
                "on with nothing that makes sense.",
                1000, ((1, 0), (1, 1), (1, 2)), 22, "zero",
            ),
        ),
    ),
    "words": Reading(
        "How letters find their word",
        reference_id("modern", 0),
        "Mila gave the key to Oren. Then Oren opened the box with the",
        (
            Stage(
                "A model that reads stories letter by letter, before training: nothing but an even grey.",
                0, ((0, 0),), 24,
            ),
            Stage(
                "Step 55. The first thing to appear is the near: the first layer begins to look at the letter before.",
                55, ((0, 2),), 24,
            ),
            Stage(
                "Step 213. Short bright columns: this head looks at the first letter of the word that it is in. Point at "
                "the letters of Oren and see all of them look at the O. Nobody told the model what a word is.",
                213, ((0, 0),), 24,
            ),
            Stage(
                "At the end of training, in the same layer: one head for the first letter of the word, one for the letter "
                "two back, one for the letter before. As lines, a colour each. Point at other letters on the left.",
                1600, ((0, 0), (0, 2), (0, 3)), 24,
            ),
            Stage(
                "Does it matter? This is the head for the letter before, switched off. The loss of 0.4 rises to about 2.4 "
                "nats: counting pairs of letters would do as well. Press other heads in the grid, they are measured too: "
                "most of them can be missed.",
                1600, ((0, 3),), 24, "zero",
            ),
        ),
    ),
}  # fmt: skip
