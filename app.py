"""Start the LLM Playground: ``python app.py``, then open the address that it prints."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from playground.runs.store.processes import PATIENT_THREADS

# How long one thread may keep Python to itself. While somebody's text is written, Python's own 5 ms would make every page
# wait several times, once for each thing that its request does.
SWITCH_SECONDS = 0.001


def main() -> None:
    """Read options, build the app, serve it until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="port (default: the first free one from 7860)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    parser.add_argument("--public", action="store_true", help="visitors see only their own runs, as on a Space")
    parser.add_argument("--share", action="store_true", help="make a public link through Gradio's servers")
    options = parser.parse_args()

    for name, value in PATIENT_THREADS.items():
        os.environ.setdefault(name, value)  # before torch is loaded, which reads them then
    from playground.ui.server import memory, zero_gpu

    zero_gpu.announce()  # likewise
    memory.limit_malloc_arenas()
    import torch

    from playground.ui.app import build_app, launch_options, queued
    from playground.ui.services import Services

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # training needs the cores more than the page
    hosted = bool(os.environ.get("SPACE_ID"))
    try:
        services = Services.create(public=True if options.public or options.share else None)
    except ValueError as error:
        parser.error(str(error))
    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a container is stopped with it: end as with Ctrl-C
    demo = queued(build_app(services))
    try:
        demo.launch(
            server_name=options.host or ("0.0.0.0" if hosted else None),  # noqa: S104 - a Space must listen everywhere
            server_port=options.port,
            share=options.share,
            inbrowser=not (hosted or options.no_browser or os.environ.get("CI")),
            **launch_options(services),
        )
    finally:
        services.close()


if __name__ == "__main__":
    main()
