"""The container's files: what goes into the image, what the process may do, and settings that exist. That the commands
work is shown by `test_install`, which follows them."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
import yaml

from playground.runs.queue.hosting import Hosting
from tests.dockerfile import command, environment, instructions
from tests.test_install import SOURCES
from tests.texts import PROJECT

SERVICE = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]["playground"]


def test_the_image_is_built_from_the_sources_of_the_wheel_and_nothing_else() -> None:
    copied = [source for each in instructions() if each.name == "COPY" for source in each.words[:-1]]
    assert sorted(copied) == sorted(SOURCES)
    allowed = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(allowed) == sorted(SOURCES)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(any(name == source or name.startswith(f"{source}/") for name in tracked) for source in SOURCES)


def test_the_order_of_instructions_keeps_the_layers_of_the_libraries_and_ends_without_root() -> None:
    names = [each.name for each in instructions()]
    assert set(names) <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "ENV", "EXPOSE", "HEALTHCHECK", "CMD"}
    first_copy = next(each for each in instructions() if each.name == "COPY")
    assert first_copy.words == ["requirements.txt", "./"], "a change of the code must not install the libraries again"
    last_root = max(i for i, each in enumerate(instructions()) if each.name in ("RUN", "COPY"))
    assert names.index("USER") > last_root
    assert names[-1] == "CMD"
    (image,) = (each.value for each in instructions() if each.name == "FROM")
    python = re.search(r"python:(3\.\d+)", image)
    assert python is not None
    assert f'python_version: "{python[1]}"' in (PROJECT / "README.md").read_text(), "the version of the Space"


def test_the_command_is_that_of_the_wheel_and_its_port_the_one_that_is_published() -> None:
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert command()[0] in scripts
    port = command()[command().index("--port") + 1]
    assert [each.value for each in instructions() if each.name == "EXPOSE"] == [port]
    (published,) = SERVICE["ports"]
    assert published.rsplit(":", 1)[1] == port


def test_the_container_can_write_to_its_volume_and_its_memory_only() -> None:
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    (memory,) = SERVICE["tmpfs"]
    assert memory.startswith("/tmp:size=") and memory.endswith(",exec"), "compiled code is loaded from there"
    (volume,) = SERVICE["volumes"]
    places = {name: value for name, value in environment().items() if value.startswith("/")}
    assert set(places) == {"HOME", "PLAYGROUND_DATA", "PLAYGROUND_CACHE", "GRADIO_TEMP_DIR"}
    for value in places.values():
        assert value == "/tmp" or value.startswith(f"{volume.split(':')[1]}/")


@pytest.mark.parametrize("filled", ["", "play.school.edu"])
def test_the_settings_of_the_service_are_known(filled: str) -> None:
    given = {name: re.sub(r"\$\{\w+:-\}", "", value) for name, value in SERVICE["environment"].items()}
    if filled:
        given |= {
            "PLAYGROUND_HOSTS": filled,
            "PLAYGROUND_PASSWORD": "blackboard",
            "PLAYGROUND_PROXIES": "172.16.0.0/12",
        }
    assert Hosting.read({**environment(), **given}).public
