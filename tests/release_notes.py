"""What a release page says: ``python -m tests.release_notes v0.2.0`` prints the changes of that version."""

from __future__ import annotations

import re
import sys

import playground
from tests.texts import PROJECT


def release_notes(tag: str, version: str, changelog: str) -> str:
    """The section of a version in the changelog. Raises ValueError if tag, version and changelog do not agree."""
    if tag != f"v{version}":
        raise ValueError(f"The tag {tag} is not v{version}. Set __version__ in playground/__init__.py before the tag.")
    found = re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if found is None or not found[1].strip():
        raise ValueError(
            f"CHANGELOG.md has no section with the heading: ## {version} (YYYY-MM-DD). Rename Unreleased to it."
        )
    return found[1].strip()


def main(tag: str) -> int:
    try:
        print(release_notes(tag, playground.__version__, (PROJECT / "CHANGELOG.md").read_text("utf-8")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
