"""Links from the pages to lines of the source: python -m common.links writes the numbers anew after code has moved.

A page links a definition as [`MSRNet.stages`](model.py#L128): the name says what is meant, the number where it stands
today.
"""
import ast
import re
import sys

from common.base.errors import UserError, join_some, start
from common.base.files import write_whole
from common.base.paths import ROOT

LINK = re.compile(r"\[`(?P<name>[\w.]+)`\]\((?P<file>[^)#\s]+\.py)#L(?P<line>\d+)\)")
NO_PAGES = {".venv", "results", "node_modules"}


def list_pages():
    """The Markdown files of the project, sorted."""
    return sorted(path for path in ROOT.rglob("*.md") if not NO_PAGES & set(path.relative_to(ROOT).parts[:-1]))


def find_definitions(path):
    """{name: line} of what a module defines: classes, their methods as `Class.method`, functions, constants."""
    found = {}

    def visit(body, above):
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found[above + node.name] = node.lineno
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{node.name}.")
            elif isinstance(node, ast.Assign):
                found[above + ast.unparse(node.targets[0])] = node.lineno
    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def correct(page):
    """(the page's text with right numbers, [links whose file or definition is not there])."""
    broken = []

    def put_line(match):
        path = page.parent / match["file"]
        line = find_definitions(path).get(match["name"]) if path.exists() else None
        if line is None:
            broken.append(match[0])
            return match[0]
        return f"[`{match['name']}`]({match['file']}#L{line})"
    return LINK.sub(put_line, page.read_text(encoding="utf-8")), broken


def main(argv=None):
    problems = []
    for page in list_pages():
        text, broken = correct(page)
        problems += [f"{page.relative_to(ROOT).as_posix()}: {link}" for link in broken]
        if text != page.read_text(encoding="utf-8"):
            write_whole(page, text.encode())
            print(f"{page.relative_to(ROOT).as_posix()}: line numbers corrected")
    if problems:
        raise UserError(f"links that lead to no definition: {join_some(problems)}: a name of that file was expected: "
                        "mend the page")


if __name__ == "__main__":
    sys.exit(start(main))
