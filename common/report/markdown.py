"""Text from files as Markdown that nothing in it can break."""
import os
import re
from pathlib import Path
from urllib.parse import quote

from common.base.errors import printable

# what Markdown would take for more than a letter
MARKS = re.compile(r"[\\|<*\[\]`]|(?<!\w)_|_(?!\w)|~(?=~)|&(?=[\w#])")
PIPE = re.compile(r"(\\*)\|")


def prose(text):
    """Text on one line that reads as it stands, also in a table's cell; `code` in it stays code. None is empty."""
    text = one_line("" if text is None else text)
    pieces = text.split("`")
    if len(pieces) % 2 == 0 or any(not piece.strip() for piece in pieces[1::2]):     # backticks that do not pair
        pieces = [text]
    pieces[::2] = [MARKS.sub(r"\\\g<0>", piece) for piece in pieces[::2]]
    return "`".join(pieces)


def one_line(text):
    """Text on one line, its hidden letters shown."""
    return " ".join(printable(text, keep="\r\n\t").split())


def code(text):
    """Text as code on one line; empty stays empty."""
    text = one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}" if text else ""


def relative(path, folder):
    """The path from a folder to a file, as links have it."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:                                      # on another drive of Windows
        return Path(path).as_posix()


def path_link(text, path):
    """A link to a file, by its path relative to the document."""
    return f"[{text}]({quote(path, safe='/._-~+,=@')})"


def address(text):
    """A web address as a link; anything else as text."""
    return f"<{text}>" if re.fullmatch(r"https?://[^\s<>\\]+", str(text)) else prose(text)


def table(header, rows):
    """Lines of a table whose cells are Markdown on one line; a `|` in a cell stays in it, also in code."""
    def line(cells):
        return f"| {' | '.join(PIPE.sub(one_more_backslash, cell) for cell in cells)} |"
    return [line(header), "|" + " --- |" * len(header), *map(line, rows)]


def one_more_backslash(match):
    """A `|` with an odd number of backslashes before it, which is what a table's row is not split at."""
    return match[0] if len(match[1]) % 2 else match[1] + "\\|"
