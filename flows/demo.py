"""Open a page on which to try the models: `python flows/demo.py`, or `make demo`. It needs no Prefect."""

import os
from typing import Final

from flows.cli import run_command
from flows.config import DemoConfig
from tasks.core.errors import ConfigError, how_to_install

MAX_BODY_BYTES: Final = 1_000_000  # a text and choices


def serve_page(config: DemoConfig) -> int:
    """Serve the page until Ctrl-C; return the exit code.

    Raises:
        ConfigError: Gradio is not installed, or the port is taken.
        ModelError: there is no model to try.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    try:
        from flows.demo_page import page_app  # noqa: PLC0415 - `--help` is answered without it
        from flows.web import OwnPagesOnly, serve  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigError(f"the page needs Gradio ({error}); {how_to_install(['demo'])}") from error
    serve(OwnPagesOnly(page_app(), MAX_BODY_BYTES), config.host, config.port, "try the models")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(DemoConfig, serve_page))
