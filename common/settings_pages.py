"""The Chinese pages of settings: python -m common.settings_pages writes keys, ranges and defaults anew from the YAML.

A page configs/<case>.zh-CN.md has a row per setting; its last column, what turning it does, is kept as it was written.
A new setting gets its English comment there until somebody translates it.
"""
import json
import re
import sys

from common.base.errors import start
from common.base.files import write_whole
from common.base.paths import ROOT
from common.experiment.settings import Document, Schema

NO_SETTINGS = ("about", "demo", "presets")
ROW = re.compile(r"^\| `(?P<key>[\w.]+)` \| .* \| .* \| (?P<does>.+) \|$", re.MULTILINE)
HEAD = "| 设置 | 范围 | 默认值 | 作用 |\n|---|---|---|---|\n"


def range_of(rule):
    """What a setting accepts, in a cell."""
    if rule.choices:
        return "、".join(f"`{json.dumps(choice) if isinstance(choice, bool) else choice}`" for choice in rule.choices)
    if isinstance(rule.default, bool):
        return "`true`、`false`"
    if rule.range:
        return f"`{rule.range[0]}`"
    return "路径" if rule.path else "见右"


def table(case, known):
    """The table of a case's settings; known: {key: what it does}."""
    document = Document(ROOT / "configs" / f"{case}.yaml")
    rows = []
    for key, rule in Schema(document).rules.items():
        if rule is not None and key.split(".")[0] not in NO_SETTINGS:
            does = known.get(key) or document.comments[key].replace("|", "/")
            default = json.dumps(rule.default, ensure_ascii=False)
            rows.append(f"| `{key}` | {range_of(rule)} | `{default}` | {does} |\n")
    return HEAD + "".join(rows)


def written_anew(page):
    """The page's text with its table as the YAML has it today."""
    text = page.read_text(encoding="utf-8")
    known = {match["key"]: match["does"] for match in ROW.finditer(text)}
    before = text[:text.index(HEAD)] if HEAD in text else text
    return before + table(page.name.split(".")[0], known)


def main(argv=None):
    for page in sorted((ROOT / "configs").glob("*.zh-CN.md")):
        write_whole(page, written_anew(page).encode())


if __name__ == "__main__":
    sys.exit(start(main))
