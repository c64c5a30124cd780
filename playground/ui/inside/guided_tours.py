"""Guided tours: texts about a reference run, each with the step, the heads and the token that it describes.

They are data, so that tests can check every claim against the reference weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import cast

from playground.reference.make_runs import reference_id
from playground.ui.components.contracts.inside import Tour, TourStage


@dataclass(frozen=True)
class Stage:
    """One stage of a tour: a text, and what is shown with it.

    Layers, heads and tokens count from 0; several heads are drawn as lines.
    """

    words: str
    step: int
    heads: tuple[tuple[int, int], ...]
    token: int
    off: str = "on"  # the output of these heads: "on" for unchanged, or "zero" for ablated


@dataclass(frozen=True)
class Reading:
    """A guided tour: stages on one text with one reference run."""

    title: str
    run: str
    text: str
    stages: tuple[Stage, ...]

    def as_value(self) -> Tour:
        """The value for the attention grid's script."""
        return {"title": self.title, "stages": [cast(TourStage, asdict(stage)) for stage in self.stages]}


READINGS = {
    "induction": Reading(
        "Watch an induction head form",
        reference_id("induction", 0),
        "thequickbrownfox|thequi",
        (
            Stage(
                "Before training. The task of this run is to copy: letters, a bar, the same letters again. The marked "
                "row of the map is the i at the end. To predict the next letter, the model has to find the first i and "
                "see what followed it. But at step 0 every head attends to everything before it equally.",
                0, ((1, 0),), 22,
            ),
            Stage(
                "Step 78. This head has learned that what it needs is some way back: it attends to a blur of letters "
                "about a dozen positions before, whatever they are. It cannot pick the right one, and the loss has hardly "
                "changed.",
                78, ((1, 0),), 22,
            ),
            Stage(
                "Step 161, first layer. See the diagonal just below the main one: this head has begun to attend to the "
                "previous token. Each position now also holds which letter came before it.",
                161, ((0, 2),), 22,
            ),
            Stage(
                "Step 161, second layer. This head uses that information: at i it attends to the c that followed the first "
                "i. The stripe along the second copy is an induction head, formed within some 80 of 1,000 steps. The loss "
                "falls at the same time.",
                161, ((1, 0),), 22,
            ),
            Stage(
                "Are these heads the cause? At the end all three heads of the second layer do this, and here they are "
                "switched off. The loss rises above where it was before they formed, and the text no longer continues "
                "with ckbrownfox.",
                1000, ((1, 0), (1, 1), (1, 2)), 22, "zero",
            ),
        ),
    ),
    "words": Reading(
        "How letters attend to their word",
        reference_id("modern", 0),
        "Mila gave the key to Oren. Then Oren opened the box with the",
        (
            Stage(
                "A model that reads stories letter by letter, before training: attention is uniform.",
                0, ((0, 0),), 24,
            ),
            Stage(
                "Step 55. Short-range attention appears first: the first layer begins to attend to the previous letter.",
                55, ((0, 2),), 24,
            ),
            Stage(
                "Step 213. Short bright columns: this head attends to the first letter of the current word. Point at the "
                "letters of Oren: all of them attend to the O. The model was not given any word boundaries.",
                213, ((0, 0),), 24,
            ),
            Stage(
                "At the end of training, in the same layer: one head for the first letter of the word, one for the letter "
                "two back, one for the previous letter. As lines, one colour per head. Point at other letters on the "
                "left.",
                1600, ((0, 0), (0, 2), (0, 3)), 24,
            ),
            Stage(
                "Does it matter? This is the head for the previous letter, switched off. The loss of 0.4 rises to about 2.4 "
                "nats, no better than counting pairs of letters. Press other heads in the grid to measure them: most of "
                "them can be removed at little cost.",
                1600, ((0, 3),), 24, "zero",
            ),
        ),
    ),
}  # fmt: skip
