# ruff: noqa: RUF001  (letters that look like Latin ones are what the other scripts below are for)
"""What is wrong with the sample's descriptions and rows, as in the real set. Owns each kind of dirt and its rate.

Knows nothing of how cleaning treats it. A movie has at most one kind of description; rows may differ besides.
"""

from typing import Final

# The share of movies whose description is of the kind; all others are plain.
DESCRIPTION_KINDS: Final = {
    "add_a_plot": 0.14,
    "placeholder": 0.015,
    "see_full_summary": 0.16,
    "author_signature": 0.03,
    "em_dash_inside": 0.01,
    "html_entity": 0.006,
    "other_language": 0.012,
    "other_script": 0.005,
    "nothing_usable": 0.003,
    "empty_description": 0.002,
    "repeated_description": 0.01,
}
# The share of all movies.
EXCLUDED_GENRE: Final = 0.012
EMPTY_NAME: Final = 0.001
EMPTY_GENRE: Final = 0.001
# The share of the movies that are in several files: one of their rows differs from the others.
OTHER_GENRES: Final = 0.04
OTHER_DESCRIPTION: Final = 0.05
OTHER_NAME: Final = 0.006

ADD_A_PLOT: Final = "Add a Plot"
PLACEHOLDERS: Final = (
    "Plot under wraps.",
    "The story is being kept under wraps.",
    "Plot unknown.",
    "The plot is currently unknown.",
    "Plot undisclosed.",
    "The plot of {name}'s next film remains undisclosed.",
    "In development.",
    "A feature film by {name}, in development.",
    "No plot.",
    "No plot available for this title.",
    "Plot TBA.",
    "TBA",
    "Coming soon.",
    "Coming soon from director {name}.",
    "Not available.",
    "Plot details not available.",
    "Not disclosed.",
    "Story outline not disclosed by {name}.",
    "Synopsis unavailable.",
    "Plot unavailable at this time.",
    "Add a plot summary here.",
)
NOTHING_USABLE: Final = ("...", "-", "?", "N/A", "*", "??? ?? ????", "1", ".", "(none)", "#")
# A space, dots or not, sixteen spaces; the last space is a no-break space.
TAILS: Final = (" ...                See full summary\u00a0»",) * 9 + ("...                See full synopsis\u00a0»",)
CUT_AT: Final = 188  # characters that a listing shows before its tail
SIGNATURES: Final = ("\n—{name}", "\n—Anonymous", " —{name}", "—{name}", "\n— {name}", "\n—{name} <reader@example.org>")
LANGUAGES: Final = (
    "Un hombre llamado {name} vuelve a su pueblo en {year} y descubre que nada es como antes.",
    "La historia de {name}, una mujer que lucha por su familia después de la guerra de {year}.",
    "En {year}, {name} quitte la ville et part à la recherche de son frère disparu.",
    "Une comédie où {name} tombe amoureux de la mauvaise personne, l'été de {year}.",
    "{name} kehrt {year} in das Haus der Großmutter zurück und findet einen alten Brief.",
    "Im Jahr {year} muss {name} zwischen Liebe und Pflicht wählen.",
    "{name} é um jovem pescador que, em {year}, sonha em atravessar o oceano.",
    "Nel {year} {name} arriva in città per cercare lavoro e trova l'amore.",
    "{year} yılında {name}, babasının sırrını öğrenmek için köyüne döner.",
    "W roku {year} {name} wraca do domu, żeby odnaleźć zaginioną siostrę.",
)
SCRIPTS: Final = (
    "В {year} году {name} возвращается домой и узнаёт тайну своей семьи.",
    "История любви и предательства в маленьком городе: {name}, {year}.",
    "Το {year}, {name} φτάνει σε ένα μικρό νησί και ερωτεύεται.",
    "{year}年、{name}は失われた記憶を求めて旅に出る。",
    "{year}年，{name}回到故乡，寻找失踪的父亲。",
    "{year}년, {name} 은 가족의 비밀을 알게 된다.",
    "{year} में {name} अपने गाँव लौटता है और एक पुराना राज़ खोजता है।",
    "في عام {year} يعود {name} إلى قريته ويكتشف سرا قديما.",
    "בשנת {year} {name} חוזר הביתה ומגלה סוד ישן.",
)
PHRASES: Final = {
    "add_a_plot": (ADD_A_PLOT,),
    "empty_description": ("",),
    "placeholder": PLACEHOLDERS,
    "nothing_usable": NOTHING_USABLE,
    "other_language": LANGUAGES,
    "other_script": SCRIPTS,
}
_ENTITIES = ((" and ", " &amp; "), ("'", "&#39;"), (". ", ".&nbsp;"), (", ", ",&nbsp;"), (".", "&hellip;"))


def cut(text: str, tail: str) -> str:
    """Return a text as a listing shows it: cut between two words, with its tail.

    >>> cut("word " * 50, " ... more")[-18:]
    'word word ... more'
    """
    return text[:CUT_AT].rsplit(" ", 1)[0] + tail


def put_dash_inside(text: str) -> str:
    """Return a text with an em dash inside its first sentence.

    >>> put_dash_inside("A man comes home late. It rains.")
    'A man comes—home late. It rains.'
    """
    words = text.split(" ", 3)
    return f"{' '.join(words[:3])}—{words[3]}"


def escape(text: str) -> str:
    """Return a text with one kind of HTML entity in it.

    >>> escape("Rock and roll and love."), escape("It rains.")
    ('Rock &amp; roll &amp; love.', 'It rains&hellip;')
    """
    for plain, entity in _ENTITIES:
        if plain in text:
            return text.replace(plain, entity)
    return text + "&hellip;"
