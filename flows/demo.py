"""A page to try the models on: `python flows/demo.py`, or `make demo`. It takes no flow, and so starts no Prefect."""

import logging
import os
import socket
from functools import lru_cache
from html import escape
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from fastapi import FastAPI
from pydantic import Field

from flows.cli import run_command
from flows.config import FlowConfig
from tasks.core.errors import ConfigError, GenreflowError, how_to_install
from tasks.core.page import answer_css
from tasks.core.settings import data_paths
from tasks.models.explain.page import render_answer
from tasks.models.genre_classifier import GenreClassifier
from tasks.tracking.champion import OfferedModel, offered_models
from tasks.tracking.stored_model import fetch_classifier

# The page of `flows/demo.py`: a text in, a model's answer out, and all choices in the address. Owns its form.
#
# The choices are in the address's fragment, behind the #, which browsers keep to themselves: so an address can be of
# any length, and no server's log has the texts.


LONGEST = 20_000  # characters of a text; a plot has some hundreds, and explaining takes time
CACHED_MODELS = 4

CSS = """
.gradio-container { max-width: 76rem !important; margin: 0 auto !important; }
#answer, #answer > div { padding: 0 !important; }
.notice { padding: 1rem 1.25rem; border: 1px dashed #8c959f; border-radius: .5rem; }
"""
KEEP_ADDRESS = "(kept) => { history.replaceState(null, '', '#' + kept); }"
READ_ADDRESS = "() => [location.hash.slice(1)]"
FOLLOW_ADDRESS = "<script>addEventListener('hashchange', () => location.reload())</script>"  # another one was pasted
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")  # none from elsewhere
INTRODUCTION = """# Genres of a plot
Paste a plot, and see which genres a model finds in it, and which words made them. The address of the page leads to the
answer again: keep it, or share it."""
NOTHING_YET = "The answer will be here."
PLACEHOLDER = "A nurse on her first night shift hears voices in an abandoned ward."


class Asked(NamedTuple):
    """What the page asks a model, and the fields of its address."""

    title: str = ""
    text: str = ""
    model: str = ""
    rule: str = ""

    @classmethod
    def from_address(cls, fragment: str) -> "Asked":
        """Read what `to_address` wrote; unknown fields do not count."""
        given = {name: value for name, value in parse_qsl(fragment) if name in cls._fields}
        return cls(**given)

    def to_address(self) -> str:
        """Return the fields that are not empty, to stand behind the # of an address."""
        return urlencode({name: value for name, value in self._asdict().items() if value})


def page_app() -> FastAPI:
    """Return the page as an application for a server.

    Raises:
        ModelError: there is no model to try.
    """
    theme = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=FONTS, font_mono=("ui-monospace", "monospace"))
    theme.set(block_info_text_color="*neutral_600", input_placeholder_color="*neutral_500")  # WCAG's contrast
    app = FastAPI(openapi_url=None)
    gr.mount_gradio_app(
        app,
        build_page(),
        "/",
        theme=theme,
        css=answer_css() + CSS,
        head=FOLLOW_ADDRESS,
        footer_links=[],
        ssr_mode=False,
    )
    return app


def build_page() -> gr.Blocks:
    """Return the page with the models that there are now; they are looked up again whenever it is opened."""
    models = offered_models(data_paths())
    page = gr.Blocks(title="Genres of a plot", analytics_enabled=False)
    with page:
        gr.Markdown(INTRODUCTION)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                text = gr.Textbox(label="Plot", lines=8, max_lines=20, placeholder=PLACEHOLDER, autofocus=True)
                title = gr.Textbox(label="Title, if it has one")
                model = gr.Dropdown(_choices(models), value=models[0].uri, label="Model")
                rule = gr.Dropdown(
                    [("the model's own", "")], value="", label="Decision rule", allow_custom_value=True,
                    info="One of the list, or such as threshold=0.3, top=2, Horror=0.6",
                )  # fmt: skip
                button = gr.Button("Find the genres", variant="primary")
            with gr.Column(scale=3, min_width=320):
                answer = gr.HTML(notice(NOTHING_YET), elem_id="answer")
        address = gr.Textbox(visible="hidden")
        asked: list[Any] = [title, text, model, rule]
        page.load(open_address, address, [*asked, answer], js=READ_ADDRESS)
        model.input(rules_of, [model, rule], rule)
        for event in (button.click, title.submit, text.submit):
            event(find_genres, asked, [answer, address]).then(None, address, None, js=KEEP_ADDRESS)
    return page


def open_address(fragment: str) -> tuple[Any, Any, Any, Any, Any]:
    """Return what an address asks for, and the answer: title, text, choice of models, choice of rules, and HTML.

    An address that asks for nothing leaves alone what was typed meanwhile.
    """
    asked = Asked.from_address(fragment)
    models = offered_models(data_paths())
    chosen = asked.model or models[0].uri
    shown = chosen if any(model.uri == chosen for model in models) else models[0].uri
    choices = gr.Dropdown(_choices(models), value=shown), rules_of(shown, asked.rule)
    if not asked.text:
        return gr.skip(), gr.skip(), *choices, gr.skip()
    return asked.title, asked.text, *choices, answer_html(asked._replace(model=chosen))


def find_genres(title: str, text: str, model: str, rule: str | None) -> tuple[str, str]:
    """Return the answer as HTML, and the address that leads to it."""
    asked = Asked(title, text, model, rule or "")
    return answer_html(asked), asked.to_address()


def answer_html(asked: Asked) -> str:
    """Return the answer, or what the user can do about there being none."""
    if not asked.text.strip():
        return notice("There is no plot yet. Paste or write one on the left, then press the button.")
    if len(asked.text) + len(asked.title) > LONGEST:
        return notice(f"This is {len(asked.text):,} characters long; give at most {LONGEST:,}.")
    try:
        return render_answer(load_classifier(asked.model), asked.title, asked.text, asked.rule or None)
    except GenreflowError as error:
        return notice(str(error))


def rules_of(model: str, chosen: str | None) -> Any:
    """Return the choice of a model's decision rules; what was chosen stays, be it one of one's own."""
    try:
        classifier = load_classifier(model)
    except GenreflowError:
        return gr.Dropdown([("the model's own", "")], value="")  # the answer will say so
    stored = [(name, name) for name in classifier.rules]
    return gr.Dropdown([(f"the model's own ({classifier.rule})", ""), *stored], value=chosen or "")


@lru_cache(CACHED_MODELS)
def load_classifier(uri: str) -> GenreClassifier:
    """Return one of the models that are offered; an address of another one fetches nothing.

    Raises:
        ConfigError: it is not offered.
        ModelError: it cannot be fetched or read.
    """
    if all(model.uri != uri for model in offered_models(data_paths())):
        raise ConfigError(f"there is no model {uri} here any more; choose one of the list")
    return GenreClassifier.load(fetch_classifier(uri))


def notice(message: str) -> str:
    """Return a message to the user as HTML."""
    return f'<div class="notice" role="status">{escape(message)}</div>'


def _choices(models: list[OfferedModel]) -> list[tuple[str, str]]:
    return [(model.label, model.uri) for model in models]


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
