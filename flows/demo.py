"""Open a page on which to try the models: `python flows/demo.py`, or `make demo`. It needs no Prefect."""

import logging
import os
import socket
from typing import Final

from flows.cli import run_command
from flows.config import DemoConfig
from tasks.core.errors import ConfigError, how_to_install

logger = logging.getLogger("flows.demo")  # not __main__, which is not shown

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def serve_page(config: DemoConfig) -> int:
    """Serve the page until Ctrl-C; return the exit code.

    Raises:
        ConfigError: Gradio is not installed, or the port is taken.
        ModelError: there is no model to try.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    try:
        import uvicorn  # noqa: PLC0415 - `--help` is answered without it

        from flows.demo_page import page_app  # noqa: PLC0415 - as above
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
        logger.warning("other machines can reach this page without a password")
    host = f"[{config.host}]" if ":" in config.host else config.host
    logger.info("try the models on http://%s:%s; stop with Ctrl-C", host, config.port)
    try:
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
    except KeyboardInterrupt:
        logger.info("stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(DemoConfig, serve_page))
