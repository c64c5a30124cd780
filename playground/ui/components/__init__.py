"""The few components that Gradio does not have: an entry in `table`, a script of the same name, and types in `contracts`.

`component` makes one: a plain `gr.HTML` whose `value` is one dictionary.
"""

from playground.ui.components._html import component
from playground.ui.components.table import COMPONENTS, Component

__all__ = ["COMPONENTS", "Component", "component"]
