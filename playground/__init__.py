"""LLM Playground: build, train, compare and take apart a small language model.

The layers, each importing only what stands to its right (an import-linter contract holds this):
``ui -> lab -> runs -> train -> inference -> models | tokenizers | data -> config``.
"""

__version__ = "0.1.0"
