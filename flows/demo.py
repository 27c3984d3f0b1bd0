"""A page to try the models on: `python flows/demo.py`, or `make demo`. It takes no flow, and so starts no Prefect."""

import logging
import os
import socket

from pydantic import Field

from flows.command_line import run_command
from flows.config import FlowConfig
from tasks.errors import ConfigError
from tasks.extras import how_to_install

logger = logging.getLogger("flows.demo")  # and not __main__, whose lines are not shown

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class DemoConfig(FlowConfig):
    """Open a page on which to try the models on texts of one's own."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but a loopback one lets other machines in.")
    port: int = Field(7860, ge=1, le=65_535, description="Port to listen on.")


def serve_page(config: DemoConfig) -> int:
    """Serve the page until Ctrl-C.

    Raises:
        ConfigError: Gradio is not installed, or the port is taken.
        ModelError: there is no model to try.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    try:
        import uvicorn  # noqa: PLC0415 - as all of these: `--help` is answered without them

        from flows.demo_page import page_app  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"the page needs Gradio ({error}); {how_to_install(['demo'])}") from error
    app = page_app()
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listener = socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.host}, port {config.port} ({error.strerror}); give another --host or --port"
        ) from error
    if config.host not in LOOPBACK:
        logger.warning("other machines can reach this page, and it asks for no password")
    host = f"[{config.host}]" if ":" in config.host else config.host
    logger.info("try the models on http://%s:%s; Ctrl-C ends it", host, config.port)
    try:
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
    except KeyboardInterrupt:
        logger.info("the page is closed")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(DemoConfig, serve_page))
