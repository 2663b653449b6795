"""Open a page on this machine that turns images and shows what trained networks do.

    python -m demo.app                make app

Nothing leaves the machine: the page is served to 127.0.0.1 only, sends no statistics, and the
browser is told to load nothing from elsewhere.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:"
)


def main(arguments: Sequence[str]) -> int:
    """Serve the page until Ctrl-C; returns the exit code."""
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
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        import gradio as gr
    except ModuleNotFoundError:
        parser.error("Gradio is missing: pip install -r requirements-app.txt")
    from starlette.middleware import Middleware

    from demo.app.answers import warm_up
    from demo.app.page import build

    page = build()
    threading.Thread(target=warm_up, daemon=True).start()  # while the browser opens
    try:
        page.launch(
            server_name="127.0.0.1",
            server_port=options.port,
            share=False,
            inbrowser=not options.no_browser,
            show_error=True,
            footer_links=[],
            theme=gr.themes.Default(font=["sans-serif"], font_mono=["monospace"]),
            app_kwargs={"middleware": [Middleware(OwnHostOnly)]},
        )
    except OSError as error:
        parser.error(str(error).splitlines()[0])
    return 0


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
