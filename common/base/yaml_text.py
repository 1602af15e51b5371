"""YAML as people expect it: text to plain values with the line and comment of every key, and back."""
import json
import math
import os
import re
from pathlib import Path

import yaml

from common.base import paths
from common.base.errors import UserError, shorten

APART = ("about", "demo", "presets")                # top-level keys of a file that are no settings
FLOAT = re.compile(r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$")
INT = re.compile(r"^[-+]?[0-9]+$")
SPECIAL = {"": None, "~": None, "null": None, "true": True, "false": False}
COMMENT = re.compile(r"[ \t]*(?:[:,][ \t]*)?#[ \t]*(.*)")


def plain_value(word):
    """What a word without quotes means: null, true, false or a number, else text (no, 1:30, 2024-01-01, 0x1F, .inf)."""
    if word in SPECIAL:
        return SPECIAL[word]
    if (INT.match(word) or FLOAT.match(word)) and math.isfinite(float(word)):     # no setting is infinite
        return int(word) if INT.match(word) else float(word)                      # decimal: 017 is 17
    return word


class Loader(yaml.SafeLoader):
    """Finds the structure of a YAML text, from which Document makes the values."""

    def compose_node(self, parent, index):
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="aliases (*name) and tags (!name) are not allowed here",
                                       problem_mark=event.start_mark)
        return super().compose_node(parent, index)


class Dumper(yaml.SafeDumper):
    """Quotes every text that plain_value, or a usual YAML 1.1 loader, would take for something else."""

    def ignore_aliases(self, data):
        return True

    def represent_text(self, text):                 # an unusual line break is safe as an escape only
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')

    def represent_list(self, items):
        nested = any(isinstance(item, (dict, list)) for item in items)
        return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=not nested)


Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))      # possible first characters
Dumper.add_implicit_resolver("tag:yaml.org,2002:int", INT, list("-+0123456789"))
Dumper.add_representer(str, Dumper.represent_text)
Dumper.add_representer(list, Dumper.represent_list)


class Document:
    """YAML as plain values, with the line and the comment of every key by its dotted name.

    source, name: as for load_yaml. lined: whether messages add the line to the name.
    """

    def __init__(self, source, name="the given text", lined=True):
        self.name, self.lined = name, lined
        self.lines, self.comments = {}, {}
        if isinstance(source, Path):
            path = Path(os.path.abspath(source))
            inside = path.is_relative_to(paths.ROOT)
            self.name = shorten(path.relative_to(paths.ROOT).as_posix() if inside else str(path))
        try:
            data = source.read_bytes() if isinstance(source, Path) else source
            self.text = data if isinstance(data, str) else data.decode("utf-8-sig")
            node = yaml.compose(self.text, Loader)
            self.values = None if node is None else self.value(node, "")
        except OSError as error:
            raise UserError(f"{self.name}: cannot be read: {error.strerror}: expected a YAML file") from None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise UserError(f"{self.place(line)}: not UTF-8 text: save the file as UTF-8") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)         # missing where YAML does not allow a character at all
            line = mark.line + 1 if mark else self.text.count("\n", 0, error.position) + 1
            raise UserError(f"{self.place(line)}: cannot be read as YAML: {error.problem if mark else error.reason}: "
                            "check indentation (spaces, no tabs), colons, brackets and quotes") from None
        except RecursionError:
            raise UserError(f"{self.name}: nested too deeply: settings need three or four levels") from None

    def place(self, line):
        return f"{self.name}, line {line}" if self.lined else self.name

    def where(self, key):
        return self.place(self.lines[key])

    def value(self, node, key):
        """The plain value of a node of the YAML tree; key: its dotted name."""
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{key}.{number}") for number, item in enumerate(node.value)]
        return plain_value(node.value) if node.style is None else node.value

    def mapping(self, node, above):
        values = {}
        for name_node, value_node in node.value:
            place = self.place(name_node.start_mark.line + 1)
            name = self.value(name_node, "")
            if not isinstance(name, str):
                raise UserError(f"{place}: the key {quote(name)} is no text: "
                                "put quotes around it if it is meant as text")
            key = f"{above}.{name}" if above else name
            if name in values:
                raise UserError(f"{place}: {key!r} is given twice, first in line {self.lines[key]}: "
                                "keep one of the two")
            self.lines[key], self.comments[key] = name_node.start_mark.line + 1, self.comment(name_node, value_node)
            values[name] = self.value(value_node, key)
        return values

    def comment(self, name, value):
        """The comment behind a value, or behind the colon where the value is a block on the lines below."""
        block = value.style in ("|", ">") if isinstance(value, yaml.ScalarNode) else not value.flow_style
        found = COMMENT.match(self.text, name.end_mark.index if block else value.end_mark.index)
        return found[1].strip() if found else ""

    def section(self, *names):
        """The mapping under these names, one inside the other, empty where missing; without names: the settings."""
        values = self.values
        if not isinstance(values, dict):
            problem = "the file is empty" if values is None else f"{quote(values)} is no setting"
            raise UserError(f"{self.place(1)}: {problem}: expected lines such as 'seed: 1'")
        for depth, name in enumerate(names, 1):
            values = {} if values.get(name) is None else values[name]
            if not isinstance(values, dict):
                key = ".".join(names[:depth])
                raise UserError(f"{self.where(key)}: {key!r} cannot be {quote(values)}: "
                                "expected keys with values below it")
        return values if names else {name: value for name, value in values.items() if name not in APART}


def load_yaml(source, name="the given text"):
    """Plain values of a YAML file (a Path) or text (str or bytes, `name` in messages); UserError with file and line."""
    return Document(source, name).values


def to_yaml(values):
    """YAML text (LF) of plain values, keys in their order: load_yaml(to_yaml(values)) == values for finite numbers."""
    return yaml.dump(values, Dumper=Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True,
                     width=math.inf)


def quote(value):
    """A value as messages quote it: on one line and not too long."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
