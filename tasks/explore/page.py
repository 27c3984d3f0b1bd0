"""The one page of the exploration. Owns its HTML; everything in it that comes from data is escaped.

The page needs no network and no other file: the pictures are inside. Links to the files beside it are an extra.
"""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from tasks.explore.findings import ConflictFinding, Findings, PictureFinding

_STYLE: Final = """
:root { color-scheme: light; --ink: #222; --soft: #595959; --line: #d9d9d9; --link: #005a8e; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; color: var(--ink); background: #fff;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .25rem; padding-top: .75rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.1rem; margin: 0; }
a { color: var(--link); }
nav ul { padding: 0; margin: .25rem 0; list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
figure { margin: 2rem 0; }
figcaption p { margin: .25rem 0 .75rem; }
img { display: block; height: auto; max-width: 100%; }
.wide { overflow-x: auto; }
.wide img { max-width: none; }
.files { font-size: .875rem; color: var(--soft); margin: .25rem 0 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption, th, td { text-align: left; vertical-align: top; }
th, td { padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; min-width: 5rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
td ul { margin: 0; padding-left: 1.1rem; }
@media print {
  @page { margin: 15mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .files { display: none; }
  a { color: inherit; text-decoration: none; }
  section + section h2 { break-before: page; border: 0; padding: 0; margin-top: 0; }
  figure, tr { break-inside: avoid; }
  .wide, .table { overflow: visible; }
  img, .wide img { max-width: 100%; max-height: 220mm; margin: 0 auto; }
}
"""


def render_page(findings: Sequence[Findings], folder: Path) -> str:
    """Return the page about the given parts, with their pictures from `folder/<part>/<name>.svg` inside.

    Raises:
        FileNotFoundError: a picture is not there.
    """
    links = "".join(f'<li><a href="#{part.part}">{escape(part.title)}</a></li>' for part in findings)
    sections = "\n".join(_render_part(part, folder / part.part) for part in findings)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The data in pictures</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>The data in pictures</h1>
<nav aria-label="Parts"><ul>{links}</ul></nav>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def _render_part(part: Findings, folder: Path) -> str:
    pictures = "\n".join(_render_picture(picture, part.part, folder) for picture in part.pictures)
    return f"""<section id="{part.part}" aria-labelledby="{part.part}-title">
<h2 id="{part.part}-title">{escape(part.title)}</h2>
<p>{escape(part.summary)}</p>
{pictures}
{_render_conflicts(part)}
</section>"""


def _render_picture(picture: PictureFinding, part: str, folder: Path) -> str:
    image = base64.b64encode((folder / f"{picture.name}.svg").read_bytes()).decode("ascii")
    title, sentence = escape(picture.title), escape(picture.sentence)
    address = f"{part}/{escape(picture.name)}"
    forms = [form for form in ("svg", "png", "csv") if (folder / f"{picture.name}.{form}").is_file()]
    files = ", ".join(f'<a href="{address}.{form}">{form.upper()}</a>' for form in forms)
    # A part that scrolls must be within reach of the keyboard.
    box = f'class="wide" tabindex="0" role="region" aria-label="{title}, scrolls sideways"' if picture.is_wide else ""
    return f"""<figure>
<figcaption><h3>{title}</h3><p>{sentence}</p></figcaption>
<div {box}><img src="data:image/svg+xml;base64,{image}" alt="{title}. {sentence}"></div>
<p class="files">Files: {files}</p>
</figure>"""


def _render_conflicts(part: Findings) -> str:
    total = sum(conflict.count for conflict in part.conflicts)
    sentence = "No two rows contradict each other."
    if total:
        most = max(part.conflicts, key=lambda conflict: conflict.count)
        sentence = f"The most frequent kind: {most.count:,} times the same {most.key} has different {most.value}."
    rows = "\n".join(_render_conflict(conflict, part.part) for conflict in part.conflicts)
    return f"""<h3>Conflicts</h3>
<p>{escape(sentence)} Every case is in the tables; placeholders count as no description.</p>
<div class="table" tabindex="0" role="region" aria-label="Conflicts in the {part.part} data"><table>
<thead><tr>
<th scope="col">Conflict</th><th scope="col" class="number">Cases</th><th scope="col">For example</th>
</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>"""


def _render_conflict(conflict: ConflictFinding, part: str) -> str:
    name = escape(f"same {conflict.key}, different {conflict.value}")
    examples = "".join(
        f"<li><strong>{escape(key)}</strong>: {escape(' | '.join(values))}</li>" for key, values in conflict.examples
    )
    return (
        f'<tr><th scope="row"><a href="{part}/{escape(conflict.file)}">{name}</a></th>'
        f'<td class="number">{conflict.count:,}</td><td>{f"<ul>{examples}</ul>" if examples else "none"}</td></tr>'
    )
