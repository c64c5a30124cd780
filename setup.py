"""Which packages the wheel has: the code, and the reference runs as a part of it. Everything else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["playground*"]), "playground.gallery"],
    package_dir={"playground.gallery": "checkpoints/gallery"},
)
