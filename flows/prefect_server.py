"""Prefect's server behind `OwnPagesOnly`: for `make ui`, the temporary server of a command, and containers."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from flows.cli import set_environment
from tasks.core.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server until it is ended."""
    parser = ArgumentParser(prog="python -m flows.prefect_server", description="Run Prefect's server for own pages.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4200, help="port to listen on (default: %(default)s)")
    given = parser.parse_args(arguments)
    set_environment()
    own = ",".join(f"http://{name}:{given.port}" for name in ("127.0.0.1", "localhost"))
    os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", own)
    from prefect.server.api.server import create_app  # it reads the environment

    from flows.web import OwnPagesOnly, serve

    try:
        serve(OwnPagesOnly(create_app(final=True)), given.host, given.port, "Prefect")
    except ConfigError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
