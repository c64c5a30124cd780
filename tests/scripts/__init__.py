"""The page's scripts in Node: ``node --test`` for what needs no page, and comparisons with Python."""
