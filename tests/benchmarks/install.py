"""A clean installation as on a Space: a new environment, the README's gradio, requirements.txt, and a running app.

``python -m tests.benchmarks install [--python python3.12] [--resolve-only]``: needs a network and, on Linux without an own
build of torch, several gigabytes. Gradio comes with its extras ``oauth`` and ``mcp``, and server-side rendering is asked
for, as on a Space. With ``--resolve-only`` it is only found out whether there are wheels that fit together for that Python.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.benchmarks._report import figure, machine
from tests.e2e.conftest import PROJECT

TRAIN = {
    "n_layer": 1, "n_embd": 32, "n_head": 2, "n_kv_head": 2, "block_size": 32, "steps": 20, "warmup_steps": 2,
    "corpus_bytes": 20_000, "sample_interval": 0, "eval_interval": 10, "eval_tokens": 64,
}  # fmt: skip
ASK = """
import json, sys, time
from gradio_client import Client
client = Client(sys.argv[1], verbose=False)
run = client.predict(settings=json.loads(sys.argv[2]), api_name="/train")
end = time.monotonic() + 120
while client.predict(run["run"], run["token"], api_name="/status")["state"] != "finished" and time.monotonic() < end:
    time.sleep(0.5)
print(client.predict(run["run"], run["token"], api_name="/status")["state"])
"""

TINY = ["--resolve-only"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="install", description=__doc__)
    parser.add_argument("--python", default=f"python{front_matter()['python_version']}")
    parser.add_argument("--resolve-only", action="store_true")
    options = parser.parse_args(arguments)
    machine()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.resolve_only:
            _resolve(place, options.python)
        else:
            _install(place, options.python)


def front_matter() -> dict[str, str]:
    """The README's settings for Spaces, lists left as text."""
    text = (PROJECT / "README.md").read_text("utf-8").split("---")[1]
    return {key: value.strip().strip('"') for key, value in re.findall(r"^(\w+):(.*)$", text, re.MULTILINE)}


def _wanted() -> list[str]:
    return [f"gradio[oauth,mcp]=={front_matter()['sdk_version']}", "-r", str(PROJECT / "requirements.txt")]


def _resolve(place: Path, python: str) -> None:
    """Let this environment's pip choose wheels for another Python, download their metadata only, and install nothing."""
    version = re.sub(r"[^0-9.]", "", python)
    report = place / "report.json"
    command = [
        "python3", "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report),
        "--python-version", version, "--only-binary=:all:", "--target", str(place / "x"), *_wanted(),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    chosen = {
        each["metadata"]["name"].lower(): each["metadata"]["version"]
        for each in json.loads(report.read_text())["install"]
    }
    print(", ".join(f"{name} {chosen[name]}" for name in ("torch", "gradio", "pandas", "numpy", "pydantic", "plotly")))
    figure(f"packages_that_fit_python_{version}", len(chosen), ">= 20")


def _install(place: Path, python: str) -> None:
    began = time.perf_counter()
    subprocess.run([python, "-m", "venv", str(place / "env")], check=True)
    own = place / "env" / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "--quiet", *_wanted()], check=True)
    print(f"installed in {time.perf_counter() - began:.0f} s: {_output(own, '-V')}")
    subprocess.run([own, "-m", "pip", "check"], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))},
        "SPACE_ID": "nobody/playground", "SYSTEM": "spaces", "GRADIO_SSR_MODE": "True",
        "PLAYGROUND_DATA": str(place / "runs"), "PLAYGROUND_CACHE": str(place / "corpora"),
        "OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret",
        "OAUTH_SCOPES": "openid profile", "OPENID_PROVIDER_URL": "https://huggingface.co", "no_proxy": "127.0.0.1,localhost",
        "SPACE_HOST": "127.0.0.1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    with open(place / "log", "wb") as log:
        app = subprocess.Popen(
            [own, "app.py", "--host", "127.0.0.1", "--port", str(port)],
            cwd=PROJECT,
            env=variables,
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}/"
        healthy = _healthy(address, app)
        config = json.loads(_get(f"{address}config")) if healthy else {"components": []}
        names = {part["props"].get("elem_id") for part in config["components"]}
        state = _output(own, "-c", ASK, address, json.dumps(TRAIN)) if healthy else "not reached"
        tools = sorted(tool["name"] for tool in json.loads(_get(f"{address}gradio_api/mcp/schema"))) if healthy else []
    finally:
        app.terminate()
        app.wait(30)
    print((place / "log").read_text("utf-8", errors="replace")[-2_000:])
    print("agents' tools:", ", ".join(tools))
    figure("app_is_healthy", str(healthy), "True")
    figure("run_of_20_steps", state, "finished")
    figure("sign_in_button", str("sign-in" in names), "True")
    figure("tools_for_agents", len(tools), "7")


def _healthy(address: str, app: subprocess.Popen[bytes]) -> bool:
    for _ in range(600):
        if app.poll() is not None:
            return False
        try:
            return json.loads(_get(f"{address}health"))["status"] == "ok"
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    return False


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as reply:
        return str(reply.read().decode())


def _output(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
    return done.stdout.strip() or done.stderr.strip()[-300:]
