"""The shell of a self-contained HTML page: no request leaves it, so that it works offline, from a file, printed, and in
ten years.

What came from a file is escaped by every function here, unless it is Html. The style and the script stand in page.css
and page.js beside this file and go into the page as they are. A Content-Security-Policy forbids everything but inline
style, inline script and data: pictures: the second barrier.
"""
import base64
import html
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from common.data.images import read_pixels

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SIDE = 1600                                # pixels that a picture's longer side may have
QUALITY = 88                               # of lossy WebP: no difference to be seen at full size
NUMBER = re.compile(r"[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?( ?(%|dB|px|s|MB))?|[-+]?inf|nan|–|")


class Html(str):
    """A text that is HTML already. Joined or formatted with others it is plain text again, which is escaped: the safe
    side."""


def escape(text):
    """Html that shows the text as it is, whatever is in it, inside an element or a quoted attribute; Html stays as it
    is."""
    if isinstance(text, Html):
        return text
    # half a surrogate pair could not be written
    return Html(html.escape(str(text).encode("utf-8", "replace").decode("utf-8")))


def document(title, body, bilingual=False):
    """A whole HTML page. title: text; body: HTML; bilingual: with a switch between the spans of two()."""
    switch = '<button type="button" id="language" lang="zh">中文</button>' if bilingual else ""
    return f"""<!doctype html>
<html lang="en"{" data-bilingual" if bilingual else ""}>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{STYLE}</style>
<script>
{SCRIPT}</script>
</head>
<body>
{switch}
<main>
{body}
</main>
</body>
</html>
"""


def two(en, zh):
    """Html with the same said in English and Chinese, of which the page shows one (both, one after the other, without a
    script)."""
    return Html(f'<span class="en" lang="en">{escape(en)}</span><span class="zh" lang="zh">{escape(zh)}</span>')


def paragraph(text, kind=""):
    """A paragraph. kind: classes of page.css, such as `muted`, `good`, `bad`."""
    return Html(f"<p{in_class(kind)}>{escape(text)}</p>")


def in_class(kind):
    return f' class="{escape(kind)}"' if kind else ""


def table(header, rows, sortable=False, caption=""):
    """A table. header: cells; rows: sequences of cells; a cell is text (escaped) or Html. The first cell of a row is
    its heading.

    Columns of numbers stand to the right. sortable: a click, or Enter, on a heading sorts by it, again the other way
    round.
    """
    kinds = ["number" if place and all(is_number(row[place]) for row in rows) else "" for place in range(len(header))]
    head = "".join(f'<th scope="col"{in_class(kind)}>{sort_button(cell) if sortable else escape(cell)}</th>'
                   for kind, cell in zip(kinds, header))
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td{in_class(kind)}>{escape(cell)}</td>" for kind, cell in zip(kinds[1:], others))
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>\n')
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    kind = ' class="sortable"' if sortable else ""
    return Html('<div '
                f'class="scroll"><table{kind}>{above}<thead><tr>{head}</tr></thead>\n<tbody>\n{"".join(lines)}</tbody></table></div>\n')


def sort_button(cell):
    return f'<button type="button">{escape(cell)}</button>'


def is_number(cell):
    """Whether a cell shows a number (with a usual unit), or the dash in the place of one."""
    text = html.unescape(re.sub(r"<[^>]*>", "", cell)) if isinstance(cell, Html) else str(cell)
    return NUMBER.fullmatch(text.strip()) is not None


def details(summary, body):
    """Something that is opened by a click; open in print. summary: text or Html; body: HTML."""
    return Html(f"<details><summary>{escape(summary)}</summary>\n{body}</details>\n")


def picture(source, alt, width=None):
    """An <img> with the picture in it. source: uint8 (h, w, 3) or (h, w), or the path of a picture file.

    Scaled down to at most `width` pixels in width, and 1600 in each direction. alt: what is to be seen, a text or
    {"en": text, "zh": text}. Raises UserError for a file that is no picture.
    """
    pixels = read_pixels(source) if isinstance(source, (str, Path)) else np.ascontiguousarray(source)
    image = Image.fromarray(pixels)
    scale = min(1, SIDE / max(image.size), (width or SIDE) / image.width)
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    return Html(f'<img src="{data_uri(image)}" width="{image.width}" height="{image.height}"{spoken("alt", alt)}>')


def data_uri(image):
    """A data: URI of a Pillow image as WebP: without loss where that is smaller (diagrams, by a third under PNG), else
    with (photographs)."""
    written = []
    for options in ({"lossless": True, "method": 2}, {"quality": QUALITY, "method": 4}):
        content = io.BytesIO()
        image.save(content, "webp", **options)
        written.append(content.getvalue())
    return f"data:image/webp;base64,{base64.b64encode(min(written, key=len)).decode()}"


def spoken(attribute, text):
    """An attribute that is read aloud, as ` alt="..."`; with {"en", "zh"} in both languages, between which the script
    switches."""
    if not isinstance(text, dict):
        return f' {attribute}="{escape(text)}"'
    return (f' {attribute}="{escape(text["en"])}" data-spoken="{attribute}" data-en="{escape(text["en"])}" '
            f'data-zh="{escape(text["zh"])}"')


def figure(image, caption):
    """A picture() with its caption below; a click, or Enter, shows it in full size."""
    return Html('<figure><button type="button" '
                f'class="zoom">{image}</button><figcaption>{escape(caption)}</figcaption></figure>\n')


def slider(before, after, alt, labels=("before", "after")):
    """Two pictures of one size, one over the other, with a line to move between them: by pointer, finger or arrow keys;
    side by side in print.

    before, after: as picture() takes them; of different sizes they stand side by side. alt: a text or {"en", "zh"};
    labels: text or two() for each.
    """
    images = [picture(source, alt, 1200) for source in (before, after)]
    halves = "".join(f'<div class="half">{image}<span class="label">{escape(label)}</span></div>'
                     for image, label in zip(images, labels))
    if len({re.search(r'width="\d+" height="\d+"', image)[0] for image in images}) > 1:
        return Html(f'<div class="pair">{halves}</div>\n')
    movable = f'<input type="range" min="0" max="100" step="1" value="50"{spoken("aria-label", alt)}>'
    return Html(f'<div class="slider">{halves}<span class="line"></span>{movable}</div>\n')
