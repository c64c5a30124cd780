"""One module a tab: a dataclass of its components, `build`, handlers, `wire`. Tabs do not know each other."""
