"""The shell of a self-contained HTML page: no request leaves it, so that it works offline, printed, and in ten years.

The HTML stands in templates/: page.html is the document, with page.css and page.js in it; parts.html has a macro for
each part. Jinja escapes what goes into them, unless it is Html. A Content-Security-Policy forbids everything but inline
style, inline script and data: pictures: the second barrier.
"""
import base64
import io
import re
from pathlib import Path
from typing import NamedTuple

import jinja2
import markupsafe
import numpy as np
from PIL import Image

from common.base.errors import printable
from common.data.images import read_pixels

SIDE = 1600                                # pixels that a picture's longer side may have
LABELS = 0.8                               # of a figure's own width: its smallest labels (5.5 pt, 150 dpi) have 9 px
COLUMN = 1080                              # pixels that a wide window has for a figure; only diagrams are wider, whose
                                           # letters (7.5 pt) have 10 px there
QUALITY = 88                               # of lossy WebP: no difference to be seen at full size
NUMBER = re.compile(r"[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?( ?(%|dB|px|s|MB))?|[-+]?inf|nan|–|")
FOLDER = Path(__file__).with_name("templates")


class Html(str):
    """A text that is HTML already. Joined or formatted with others it is plain text again, which is escaped."""

    def __html__(self):
        return str(self)


class Both(NamedTuple):
    """The same in two languages, of which the page shows one (both, one after the other, without a script)."""
    en: str
    zh: str


def escape(text):
    """Html that shows a text, or Both, as it is, in an element or a quoted attribute; Html stays as it is."""
    if isinstance(text, Both):
        return two(*text)
    if not hasattr(text, "__html__"):
        text = printable(text, keep="\n\t")
    return Html(markupsafe.escape(text))


def data_uri(image):
    """A data: URI of a Pillow image as WebP: without loss where that is smaller (diagrams), else with (photographs)."""
    written = []
    for options in ({"lossless": True, "method": 2}, {"quality": QUALITY, "method": 4}):
        content = io.BytesIO()
        image.save(content, "webp", **options)
        written.append(content.getvalue())
    return f"data:image/webp;base64,{base64.b64encode(min(written, key=len)).decode()}"


STYLE, SCRIPT = (Html((FOLDER / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, finalize=escape,
                               undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                               keep_trailing_newline=True)
PARTS = TEMPLATES.get_template("parts.html", globals={"data_uri": data_uri}).module


def document(title, body, bilingual=False):
    """A whole HTML page. title: text; body: HTML; bilingual: with a switch between the languages of two()."""
    return TEMPLATES.get_template("page.html").render(title=title, body=Html(body), bilingual=bilingual, style=STYLE,
                                                      script=SCRIPT)


def two(en, zh):
    """The same said in English and Chinese, of which the page shows one."""
    return Html(PARTS.two(en, zh))


def paragraph(text, kind=""):
    """A paragraph. kind: classes of page.css, such as `muted`, `good`, `bad`."""
    return Html(PARTS.paragraph(text, kind))


def in_class(kind):
    return Html(PARTS.in_class(kind))


def table(header, rows, sortable=False, caption="", strong=()):
    """A table of cells: text, Both or Html. The first cell of a row is its heading; columns of numbers stand right.

    sortable: a click, or Enter, on a heading sorts by it, again the other way round.
    strong: numbers of the rows that matter most.
    """
    numeric = {place for place, column in enumerate(zip(*rows)) if place and all(map(is_number, column))}
    return Html(PARTS.table(header, rows, numeric, sortable, caption, strong))


def is_number(cell):
    """Whether a cell shows a number (with a usual unit), the dash in the place of one, or nothing."""
    return NUMBER.fullmatch(markupsafe.Markup(escape(cell)).striptags()) is not None


def details(summary, body):
    """Something that is opened by a click; open in print. summary: text or Html; body: Html."""
    return Html(PARTS.details(summary, body))


def picture(source, alt, width=None, labelled=False):
    """An <img> with the picture in it. source: uint8 (h, w, 3) or (h, w), or the path of a picture file.

    Scaled down to at most `width` pixels in width, and 1600 in each direction. alt: what is to be seen, a text or
    {"en": text, "zh": text}. labelled: on a narrow page it is scrolled sideways rather than shown with labels too small
    to read. Raises UserError for a file that is no picture.
    """
    image = fit(source, width or SIDE)
    return Html(PARTS.picture(image, alt, min(round(LABELS * image.width), COLUMN) if labelled else None))


def fit(source, width):
    """The Pillow image of what picture() takes, scaled down."""
    pixels = read_pixels(source) if isinstance(source, (str, Path)) else np.ascontiguousarray(source)
    image = Image.fromarray(pixels)
    scale = min(1, SIDE / max(image.size), width / image.width)
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    return image


def figure(image, caption):
    """A picture() with its caption below; a click, or Enter, shows it in full size."""
    return Html(PARTS.figure(image, caption))


def slider(before, after, alt, labels=("before", "after")):
    """Two pictures, one over the other, with a line to move between them: by pointer, finger or arrow keys.

    before, after: as picture() takes them; of different sizes, and in print, they stand side by side. alt: a text or
    {"en", "zh"}; labels: text or two() for each.
    """
    return Html(PARTS.slider([fit(source, 1200) for source in (before, after)], alt, labels))
