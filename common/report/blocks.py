"""What a report consists of, said once, and the two forms that it takes: HTML and Markdown.

Texts are str, or Both where the page switches between languages. In the texts of Paragraph, Note and captions
`backticks` mark code; what came from a file is put into them by code(), which takes its own backticks away. Cells,
names and commands are taken as they are.
"""
import re
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

from common.base.errors import UserError
from common.report import markdown, page
from common.report.page import Both, Html


class Heading(NamedTuple):
    level: int                                             # 2: a case, 3: a section, 4: a test set
    text: object
    anchor: str = ""


class Paragraph(NamedTuple):
    text: object
    kind: str = ""                                         # classes of page.css


class Note(NamedTuple):
    """Something that the reader should see: what is missing, or wrong (kind "bad"), with the commands that mend it."""
    text: object
    commands: tuple = ()
    kind: str = ""


class Contents(NamedTuple):
    entries: list                                          # [(anchor, text)]


class Links(NamedTuple):
    links: list                                            # [(label: text or Both, address)]


class Table(NamedTuple):
    caption: object
    header: list
    rows: list                                             # of cells: text or Both
    strong: tuple = ()                                     # numbers of the rows that matter most
    sortable: bool = True


class Figure(NamedTuple):
    path: Path
    caption: object
    alt: object
    csv: Path | None = None
    labelled: bool = False                                 # it has labels, which must stay readable: never too narrow


class Slider(NamedTuple):
    before: Path
    after: Path
    caption: object
    alt: object
    labels: tuple                                          # of the two pictures


class Gallery(NamedTuple):
    """Figures or sliders beside each other, where there is room for it."""
    blocks: list
    kind: str = ""                                         # `small`: three in a row instead of two


class Listing(NamedTuple):
    """Text as it stands in a file."""
    text: str


class Folded(NamedTuple):
    """Blocks behind a line that is clicked."""
    summary: object
    blocks: list


def both(text):
    """A text of a YAML file as Both or str: {"en", "zh"} or one language."""
    if isinstance(text, dict):
        return Both(str(text.get("en", "")), str(text.get("zh", text.get("en", ""))))
    return str(text)


def each(function, text):
    """function applied to a str, or to both languages."""
    return Both(*map(function, text)) if isinstance(text, Both) else function(str(text))


def code(value):
    """A value from a file as code in a text."""
    return "`" + str(value).replace("`", "'").replace("\n", " ") + "`"


def join(*texts, between=" "):
    """Several texts as one, in each language."""
    if not any(isinstance(text, Both) for text in texts):
        return between.join(map(str, texts))
    pairs = [text if isinstance(text, Both) else Both(str(text), str(text)) for text in texts]
    return Both(*map(between.join, zip(*pairs)))


# ---- HTML ------------------------------------------------------------------------------------------------------------

def mark_code(text):
    """A text whose `backticks` are code as Html, in each language."""
    return each(lambda words: Html(re.sub(r"`([^`]*)`", r"<code>\1</code>", page.escape(words))), text)


def is_address(text):
    """Whether it is safe and sensible to make a link of it."""
    return re.fullmatch(r"https?://[^\s<>\"]+", str(text)) is not None


HELPERS = {"page": page, "mark_code": mark_code, "is_address": is_address}
MACROS = page.TEMPLATES.get_template("blocks.html", globals=HELPERS).module          # one for each class of blocks


def to_html(blocks, said):
    """The blocks as HTML. A picture that cannot be read becomes a note, and its message is given to said(text)."""
    return Html("".join(html_of(block, said) for block in blocks))


def html_of(block, said):
    inner = [to_html(block.blocks, said)] if isinstance(block, (Gallery, Folded)) else []
    try:
        return getattr(MACROS, type(block).__name__)(block, *inner)
    except UserError as problem:
        said(str(problem))
        return MACROS.Note(Note(str(problem), kind="bad"))


# ---- Markdown --------------------------------------------------------------------------------------------------------

def to_markdown(blocks, folder):
    """The blocks as Markdown in both languages; pictures are linked relative to folder, where the text will lie."""
    return "\n".join(MARKDOWN[type(block)](block, Path(folder)) for block in blocks)


def quiet(text):
    """Text in which Markdown sees no markup; code in backticks stays code."""
    return re.sub(r"(`[^`]*`)|[\\`*\[\]<>|#]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])",
                  lambda found: found[1] or "\\" + found[0], str(text))


def in_line(text, between=" · "):
    """On one line: `English · 中文`."""
    return between.join(map(quiet, text)) if isinstance(text, Both) else quiet(text)


def below(text):
    """One paragraph per language."""
    return in_line(text, between="\n\n")


def fence_code(lines):
    """A code block, with a fence longer than any in the text."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", lines))])
    return f"{fence}\n{lines}\n{fence}\n"


def cell_of(value):
    return in_line(value).replace("\n", " ")


def table_markdown(block, folder):
    rows = [list(map(cell_of, row)) for row in block.rows]
    for number in block.strong:
        rows[number] = [cell and f"**{cell}**" for cell in rows[number]]
    caption = f"{below(block.caption)}\n\n" if block.caption else ""
    return caption + "\n".join(markdown.table(list(map(cell_of, block.header)), rows)) + "\n"


def address_of(path, folder):
    """A picture's place as seen from folder, for a link."""
    return f"<{markdown.relative(path, folder).replace('<', '%3C').replace('>', '%3E')}>"


def figure_markdown(block, folder):
    numbers = f" ([CSV]({address_of(block.csv, folder)}))" if block.csv else ""
    return f"![{in_line(block.alt)}]({address_of(block.path, folder)})\n\n{below(block.caption)}{numbers}\n"


def slider_markdown(block, folder):
    pictures = " ".join(f"![{in_line(label)}]({address_of(path, folder)})"
                        for path, label in zip((block.before, block.after), block.labels))
    return f"{pictures}\n\n{below(block.caption)}\n"


def heading_markdown(block, folder):
    anchor = f'<a id="{page.escape(block.anchor)}"></a>\n\n' if block.anchor else ""
    return f"{anchor}{'#' * block.level} {in_line(block.text)}\n"


def link_markdown(label, address):
    return f"[{in_line(label)}](<{address}>)" if is_address(address) else f"{in_line(label)}: {quiet(address)}"


def note_markdown(block, folder):
    commands = "\n" + fence_code("\n".join(block.commands)) if block.commands else ""
    return f"{below(block.text)}\n{commands}"


MARKDOWN = {
    Heading: heading_markdown,
    Contents: lambda block, folder: "".join(f"- [{in_line(text)}](#{anchor})\n" for anchor, text in block.entries),
    Paragraph: lambda block, folder: below(block.text) + "\n",
    Note: note_markdown,
    Links: lambda block, folder: " · ".join(starmap(link_markdown, block.links)) + "\n",
    Table: table_markdown,
    Figure: figure_markdown,
    Slider: slider_markdown,
    Gallery: lambda block, folder: to_markdown(block.blocks, folder),
    Listing: lambda block, folder: fence_code(block.text),
    Folded: lambda block, folder: f"{below(block.summary)}\n\n{to_markdown(block.blocks, folder)}",
}
