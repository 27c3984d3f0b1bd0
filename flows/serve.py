"""Serve a model over HTTP: `python flows/serve.py`, or `make serve`. It needs no Prefect."""

from flows.cli import run_command
from flows.config import ServeConfig


def serve_model(config: ServeConfig) -> int:
    """Answer requests to `/invocations` until Ctrl-C; return the exit code.

    Raises:
        ConfigError: the model's address has another form, or the port is taken.
        ModelError: there is no such model, or its files are not those that were logged.
        TrackingError: the MLflow store does not answer.
    """
    from flows.web import OwnPagesOnly, serve
    from tasks.models.served import load_served
    from tasks.tracking.registry import scoring_app

    app = OwnPagesOnly(scoring_app(config.model, load_served))
    serve(app, config.host, config.port, f"{config.model} answers POST /invocations")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(ServeConfig, serve_model))
