"""Open a page on which to try the models: `python flows/demo.py`, or `make demo`. It needs no Prefect."""

import os
from typing import Any, Final, NamedTuple

from flows.cli import run_command
from flows.config import DemoConfig
from tasks.core.errors import ConfigError, GenreflowError, how_to_install

MAX_BODY_BYTES: Final = 1_000_000  # a text and choices
UPLOADS: Final = ("/gradio_api/upload", "/upload")  # Gradio's, which the page does not use


def serve_page(config: DemoConfig) -> int:
    """Serve the page until Ctrl-C; return the exit code.

    Raises:
        ConfigError: Gradio is not installed, or the port is taken.
        ModelError: there is no model to try.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    try:
        from flows.demo import page_app  # from the module, which has what follows the command
        from flows.web import OwnPagesOnly, serve
    except ImportError as error:
        raise ConfigError(f"the page needs Gradio ({error}); {how_to_install(['demo'])}") from error
    serve(OwnPagesOnly(page_app(), MAX_BODY_BYTES, UPLOADS), config.host, config.port, "try the models")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(DemoConfig, serve_page))

from functools import lru_cache
from html import escape
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from fastapi import FastAPI

from tasks.core.page import answer_css
from tasks.core.settings import data_paths
from tasks.models.explain.page import render_answer
from tasks.models.genre_classifier import GenreClassifier
from tasks.tracking.registry import demo_models, fetch_classifier

LONGEST = 20_000  # characters of a text; a plot has some hundreds, and explaining takes time
MOST_WORDS = 1_000  # explaining takes time for each
CACHED_MODELS = 4

CSS = """
.gradio-container { max-width: 76rem !important; margin: 0 auto !important; }
#answer, #answer > div { padding: 0 !important; }
.notice { padding: 1rem 1.25rem; border: 1px dashed #8c959f; border-radius: .5rem; }
"""
# All choices are in the address's fragment, after the #, which browsers do not send: so an address can have any length,
# and no server logs the texts.
KEEP_ADDRESS = "(kept) => { history.replaceState(null, '', '#' + kept); }"
READ_ADDRESS = "() => [location.hash.slice(1)]"
FOLLOW_ADDRESS = "<script>addEventListener('hashchange', () => location.reload())</script>"  # another one was pasted
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")  # none from the network
INTRODUCTION = """# Genres of a plot
Paste a plot to see its predicted genres and the words that raise or lower their scores. The page's address leads back
to the answer: keep it, or share it."""
PLACEHOLDER = "A nurse on her first night shift hears voices in an abandoned ward."


class Asked(NamedTuple):
    """A question to a model; the fields are those of the page's address."""

    title: str = ""
    text: str = ""
    model: str = ""
    rule: str = ""

    @classmethod
    def from_address(cls, fragment: str) -> "Asked":
        """Read what `to_address` wrote; unknown fields are ignored."""
        return cls(**{name: value for name, value in parse_qsl(fragment) if name in cls._fields})

    def to_address(self) -> str:
        """Return the fields that are not empty, for the part of an address after the #."""
        return urlencode({name: value for name, value in self._asdict().items() if value})


def page_app() -> FastAPI:
    """Return the page as a web application. The models that it offers are looked up again whenever it is opened."""
    page = gr.Blocks(title="Genres of a plot", analytics_enabled=False)
    with page:
        gr.Markdown(INTRODUCTION)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                text = gr.Textbox(label="Plot", lines=8, max_lines=20, placeholder=PLACEHOLDER, autofocus=True)
                title = gr.Textbox(label="Title (optional)")
                model = gr.Dropdown(**_choice_of_models(""), label="Model")
                rule = gr.Dropdown(
                    [("the model's own", "")], value="", label="Decision rule", allow_custom_value=True,
                    info="From the list, or for example threshold=0.3, top=2, Horror=0.6",
                )  # fmt: skip
                button = gr.Button("Find the genres", variant="primary")
            with gr.Column(scale=3, min_width=320):
                answer = gr.HTML(notice("The answer will appear here."), elem_id="answer")
        address = gr.Textbox(visible="hidden")
        asked: list[Any] = [title, text, model, rule]
        page.load(open_address, address, [*asked, answer], js=READ_ADDRESS)
        model.input(rules_of, [model, rule], rule)
        for event in (button.click, title.submit, text.submit):
            event(find_genres, asked, [answer, address]).then(None, address, None, js=KEEP_ADDRESS)
    theme = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=FONTS, font_mono=("ui-monospace", "monospace"))
    theme.set(block_info_text_color="*neutral_600", input_placeholder_color="*neutral_500")  # WCAG's contrast
    looks: dict[str, Any] = {"theme": theme, "css": answer_css() + CSS, "head": FOLLOW_ADDRESS, "footer_links": []}
    app = FastAPI(openapi_url=None)
    gr.mount_gradio_app(app, page, "/", ssr_mode=False, **looks)
    return app


def open_address(fragment: str) -> tuple[Any, Any, Any, Any, Any]:
    """Return title, text, choice of models, choice of rules, and answer as HTML for an address.

    An address without a text keeps what was typed.
    """
    asked = Asked.from_address(fragment)
    models = _choice_of_models(asked.model)
    choices = gr.Dropdown(**models), rules_of(models["value"], asked.rule)
    if not asked.text:
        return gr.skip(), gr.skip(), *choices, gr.skip()
    return asked.title, asked.text, *choices, answer_html(asked._replace(model=asked.model or models["value"]))


def _choice_of_models(wanted: str) -> dict[str, Any]:
    """Return the models' labels and addresses, and the wanted one if it is among them, else the first."""
    choices = [(model.label, model.uri) for model in demo_models(data_paths())]
    return {"choices": choices, "value": wanted if wanted in dict(choices).values() else choices[0][1]}


def find_genres(title: str, text: str, model: str, rule: str | None) -> tuple[str, str]:
    """Return the answer as HTML, and the address that leads to it."""
    asked = Asked(title, text, model, rule or "")
    return answer_html(asked), asked.to_address()


def answer_html(asked: Asked) -> str:
    """Return the answer, or why there is none and what to do."""
    if not asked.text.strip():
        return notice("There is no plot yet. Paste or write one, then press the button.")
    if len(asked.text) + len(asked.title) > LONGEST:
        return notice(f"This is {len(asked.text):,} characters long; give at most {LONGEST:,}.")
    if (words := len(f"{asked.title} {asked.text}".split())) > MOST_WORDS:
        return notice(f"This is {words:,} words long; give at most {MOST_WORDS:,}.")
    try:
        return render_answer(load_classifier(asked.model), asked.title, asked.text, asked.rule or None)
    except GenreflowError as error:
        return notice(str(error))


def rules_of(model: str, chosen: str | None) -> Any:
    """Return the choice of a model's decision rules; keeps the chosen one even if it is not in the list."""
    try:
        classifier = load_classifier(model)
    except GenreflowError:
        return gr.Dropdown([("the model's own", "")], value="")  # the answer shows the error
    stored = [(name, name) for name in classifier.rules]
    return gr.Dropdown([(f"the model's own ({classifier.rule})", ""), *stored], value=chosen or "")


@lru_cache(CACHED_MODELS)
def load_classifier(uri: str) -> GenreClassifier:
    """Return one of the page's models; other addresses are refused."""
    if all(model.uri != uri for model in demo_models(data_paths())):
        raise ConfigError(f"there is no model {uri} here; choose one from the list")
    return GenreClassifier.load(fetch_classifier(uri))


def notice(message: str) -> str:
    """Return a message to the user as HTML."""
    return f'<div class="notice" role="status">{escape(message)}</div>'
