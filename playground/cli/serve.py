"""Starting the app."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from playground.cli import startup
from playground.cli.command import Command
from playground.cli.reload import Reloader, free_port
from playground.runs.store.paths import code_root
from playground.runs.store.run_store import RunStore

# How long one thread may keep Python to itself. While somebody's text is written, Python's own 5 ms would make every page
# wait several times, once for each thing that its request does.
SWITCH_SECONDS = 0.001


def prepare_process() -> None:
    """What has to be set before torch and Gradio are imported."""
    signal.signal(signal.SIGTERM, _end_early)
    from playground.ui.server import memory, zero_gpu

    zero_gpu.announce()
    memory.limit_malloc_arenas()
    os.environ["FORWARDED_ALLOW_IPS"] = ""  # uvicorn would believe this machine's: `server.addresses` decides


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="port (default: the first free one from 7860)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    parser.add_argument("--public", action="store_true", help="visitors see only their own runs, as on a Space")
    parser.add_argument("--share", action="store_true", help="make a public link through Gradio's servers")
    parser.add_argument("--check", action="store_true", help="print all limits in force and what is wrong, and end")
    parser.add_argument("--reload", action="store_true", help="start again when a file of the program changes")


def _serve(options: argparse.Namespace, store: RunStore) -> int:
    """Build the app and serve it until Ctrl-C. Raises ValueError if something is wrong with the options."""
    hosted = bool(os.environ.get("SPACE_ID"))
    address = options.host or ("0.0.0.0" if hosted else None)  # noqa: S104 - a Space must listen everywhere
    public = True if options.public or options.share else None
    hosting, wrong = startup.problems(address, options.port, store, public)
    if options.check:
        print("\n".join([*(startup.report(hosting, store) if hosting is not None else []), *wrong]))
        return 2 if wrong else 0
    if wrong:
        raise ValueError(wrong[0])
    if options.reload:
        return _serve_again_and_again(options, store)
    import torch

    from playground.ui.app import build_app, launch_options
    from playground.ui.server import connections, logs
    from playground.ui.server.addresses import Addresses
    from playground.ui.server.event_queue import queued
    from playground.ui.services import Services
    from playground.ui.session_files import sweep_regularly

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # training needs the cores more than the page
    services = Services.create(public=public, store=store)
    logs.configure(services.public)
    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a container is stopped with it: end as with Ctrl-C
    try:
        if services.public:
            sweep_regularly(services.delete_files_of_deleted_runs)
        demo = queued(build_app(services), services.public, services.files if services.public else None)
        share_url = (lambda: demo.share_url) if options.share else None
        addresses = Addresses.of(services.hosting, options.host, share_url)
        most, warning = connections.allowed(connections.open_files())
        connections.limit_connections(most, addresses.proxies)
        if warning and services.public:
            print(warning, flush=True)
        demo.launch(
            server_name=address,
            server_port=options.port,
            share=options.share,
            inbrowser=not (hosted or options.no_browser or os.environ.get("CI")),
            **launch_options(services, addresses, most),
        )
    except KeyboardInterrupt:  # Gradio handles it once the app is served
        print("Ended before the app had started.", file=sys.stderr)
        return 2
    except OSError as error:  # Gradio found no port
        raise ValueError(f"The app cannot be served: {str(error)[:200]}") from None
    finally:
        services.close()
    return 0


def _end_early(*_: object) -> None:
    """SIGTERM before there is anything to close."""
    os.write(2, b"Ended before the app had started.\n")
    os._exit(2)


def _serve_again_and_again(options: argparse.Namespace, store: RunStore) -> int:
    """Serve the app in a process of its own that is started again after each change, on the same port."""
    command = [sys.executable, "-m", "playground", "serve", "--data", str(store.root)]
    command += ["--port", str(options.port or free_port()), *(["--host", options.host] if options.host else [])]
    command += [f"--{name}" for name in ("public", "share") if getattr(options, name)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["PYTHONPATH"] = str(code_root())
    Reloader([*command, *(["--no-browser"] if options.no_browser else [])], code_root() / "playground").run(
        "--no-browser"
    )
    return 0


SERVE = Command("serve", "start the app and open it in a browser; the default", _serve_options, _serve)
