"""Start the LLM Playground: ``python app.py``, then open the address that it prints."""

from __future__ import annotations

import sys

from playground.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
