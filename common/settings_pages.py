"""The Chinese pages of settings: python -m common.settings_pages writes keys, ranges and defaults anew from the YAML.

A page configs/<case>.zh-CN.md has a row per setting; its last column, what turning it does, is kept as it was written.
A new case gets a page, and a new setting its English comment there, until somebody translates it.
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
INTRODUCTION = """# {name}：全部设置

[案例说明](../cases/{case}/README.zh-CN.md)。在命令行写 `key=value` 可改变一项，`preset=NAME` 改变一组；\
各预设与英文说明见 [{case}.yaml]({case}.yaml)。
范围中方括号包含端点，圆括号不包含；列表的每个元素都须在范围之内。`python -m common.settings_pages` 按 YAML 更新前三栏。

"""
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


def written_anew(case):
    """The text of a case's page, with its table as the YAML has it today."""
    page = page_of(case)
    text = page.read_text(encoding="utf-8") if page.exists() else INTRODUCTION.format(name=case, case=case)
    known = {match["key"]: match["does"] for match in ROW.finditer(text)}
    before = text[:text.index(HEAD)] if HEAD in text else text
    return before + table(case, known)


def page_of(case):
    return ROOT / "configs" / f"{case}.zh-CN.md"


def list_configured():
    """The cases that have a YAML file of settings."""
    return sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))


def main(argv=None):
    for case in list_configured():
        write_whole(page_of(case), written_anew(case).encode())


if __name__ == "__main__":
    sys.exit(start(main))
