"""Open a page on this machine that turns images and shows what trained networks do.

    python -m demo.app                make app

Nothing leaves the machine: the page is served to 127.0.0.1 only, sends no statistics, and the
browser is told to load nothing from elsewhere.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:"
)


def main(arguments: Sequence[str]) -> int:
    """Serve the page until Ctrl-C or SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.app",
        description=__doc__.splitlines()[0],
        usage=argparse.SUPPRESS,  # a mistake is one line
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, help="of the page (the first free one from 7860)")
    parser.add_argument("--no_browser", action="store_true", help="print the address only")
    options = parser.parse_args(arguments)
    if options.port is not None and not 0 < options.port < 2**16:
        parser.error(f"--port: got {options.port}, expected a number in [1, {2**16 - 1}]")
    if options.port is not None and not is_free(options.port):
        parser.error(
            f"--port: {options.port} is in use or not allowed; leave it out for the first free one"
        )
    if find_spec("gradio") is None:
        parser.error("Gradio is missing: pip install -r requirements-app.txt")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # uploads go first
    with tempfile.TemporaryDirectory(prefix="g_selfatt-") as uploads:
        set_environment(uploads)
        try:
            serve(options.port, in_browser=not options.no_browser)
        except OSError as error:
            parser.error(str(error).splitlines()[0])
    return 0


def is_free(port: int) -> bool:
    """Whether a page can be served at a port of this machine."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def set_environment(uploads: str) -> None:
    """What Gradio reads when it is imported.

    Args:
        uploads: folder of what is uploaded and shown, unless the user has set one.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.setdefault("GRADIO_TEMP_DIR", uploads)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = f"{direct},127.0.0.1,localhost" if direct else "127.0.0.1,localhost"
    os.environ |= {"no_proxy": direct, "NO_PROXY": direct}  # Gradio asks its own page


def serve(port: int | None, in_browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Args:
        port: of the page; None for the first free one.
        in_browser: open it there.
    """
    import gradio as gr
    from starlette.middleware import Middleware

    from demo.app.answers import warm_up
    from demo.app.page import build

    page = build()
    threading.Thread(target=warm_up, daemon=True).start()  # while the browser opens
    page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        inbrowser=in_browser,
        show_error=True,
        footer_links=[],
        theme=gr.themes.Default(font=["sans-serif"], font_mono=["monospace"]),
        app_kwargs={"middleware": [Middleware(OwnHostOnly)]},
    )


class OwnHostOnly:
    """ASGI middleware: the browser may load nothing from another host."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and add the policy to the head of its answer."""

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", POLICY.encode()))
            await send(message)

        await self.app(scope, receive, send_with_policy)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
