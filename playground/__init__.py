"""LLM Playground: build, train, compare and take apart a small language model. The packages are in docs/architecture.md."""

__version__ = "0.1.0"
