"""Settings: configs/<case>.yaml, what `preset=`, `--config`, `--demo` and `key=value` change in it, and the checks on
all of these.

The YAML file is the schema. A setting has the type of its default, and the comment on its own line may begin with

    [0, 1]  (0, 1]  [1, inf)      a range, for a number or for each number of a list
    lol | synthetic: ...          the choices; among them N stands for any whole number above 0: auto | none | N
    path: ...                     a path: made absolute, and left out where runs are compared

so that the check reads the same line as the student. `about`, `demo` and `presets` are no settings; nothing else is
known by name.
"""
import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from common.base import paths
from common.base.errors import UserError, join_some
from common.base.yaml_text import Document, Dumper, plain_value, quote

# settings of the machine, wherever they stand: equal runs may differ in them
MACHINE = ("workers", "threads", "device")
TYPED = "given on the command line"
RENAMED = {"data.test": "test", "test.floors": "test.baselines", "mode": "stage"}      # settings and sections of before
WORD = re.compile(r"[A-Za-z_][\w.]*=")
FILE = re.compile(r"(\w+=|-(?!-)).*\.[A-Za-z]\w{1,4}")                              # w=600.jpg, -night.jpg


class Settings(dict):
    """A dictionary whose keys are attributes too: cfg.train.lr, cfg["train"]["lr"] and MSRNet(**cfg.model) all work."""
    __setattr__ = dict.__setitem__

    def __getattr__(self, name):
        if name not in self:
            raise AttributeError(f"no setting {name!r} here: there are {', '.join(self)}")
        return self[name]


# ---- YAML as people expect it ----


Dumper.add_representer(Settings, Dumper.represent_dict)


# ---- what a setting accepts ----
RANGE = re.compile(r"([\[(])\s*(-inf|[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*,\s*(inf|[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([\])])")
CHOICES = re.compile(r"([\w.+-]+(?:\s*\|\s*[\w.+-]+)+)\s*(?::|$)")
MISSPELT = ("None", "Null", "NULL", "True", "TRUE", "False", "FALSE")      # text in YAML, and surely not meant as text


class Rule:
    """What one setting accepts: values of its default's type, in the range or among the choices that its comment begins
    with."""

    def __init__(self, default, comment):
        choices = CHOICES.match(comment)
        self.default = default
        self.path = comment.startswith("path:")
        self.range = RANGE.match(comment)
        self.choices = [plain_value(choice.strip()) for choice in choices[1].split("|")] if choices else []

    def describe(self):
        """In words, for messages."""
        example = _element(self.default) if isinstance(self.default, list) else self.default
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
        if self.choices:
            words = ("a whole number" if choice == "N" else quote(choice) for choice in self.choices)
            text = "one of " + ", ".join(words)
        elif self.path:
            text = "a path"
        elif self.range:
            text = f"{kinds.get(type(example), 'a number')} in {self.range[0]}"
        else:
            text = kinds.get(type(example), "a single value (written null, true, false where one is meant)")
        if isinstance(self.default, list):
            return f"a list, each element {text}"
        return text + " or null" * (self.default is None)

    def fit(self, value, example, folder):
        """value in the type of example (the default or an element of it), a path made absolute; TypeError or ValueError
        if it cannot."""
        if isinstance(example, list):
            if not isinstance(value, list):
                raise TypeError
            return [self.fit(item, _element(example), folder) for item in value]
        if value is None and example is None:
            return None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.choices:
            fits = any(value == choice and isinstance(value, bool) == isinstance(choice, bool)
                       for choice in self.choices if choice != "N")
            fits = fits or "N" in self.choices and number and value == int(value) > 0
        elif isinstance(example, bool):
            fits = isinstance(value, bool)
        elif isinstance(example, (int, float)):
            fits = number and (isinstance(example, float) or value == int(value))
            value = type(example)(value) if fits else value
        elif isinstance(example, str) or self.path:
            fits = isinstance(value, str) and (value != "" or not self.path)
        elif self.range:
            fits = number
        else:
            fits = not isinstance(value, (dict, list)) and value not in MISSPELT
        if not fits or (self.range and not self.within(value)):
            raise ValueError
        return os.path.abspath(os.path.join(folder, os.path.expanduser(value))) if self.path else value

    def within(self, value):
        opening, low, high, closing = self.range.groups()
        above = value > float(low) or (opening == "[" and value == float(low))
        return above and (value < float(high) or (closing == "]" and value == float(high)))


def _element(items):
    """The element of a default that stands for all: the first float, so that [1, 0.5] takes floats, else the first,
    else None."""
    return ([item for item in items if isinstance(item, float)] or items or [None])[0]


class Schema:
    """The keys of a case's file by dotted name, in the order of the file: a Rule for a setting, None for a section."""

    def __init__(self, document):
        self.document, self.rules = document, {}
        self.add(document.section(), "")
        self.sections = [key for key, rule in self.rules.items() if rule is None]

    def add(self, values, above):
        for name, value in values.items():
            key = above + name
            if not name.isidentifier() or hasattr(dict, name):
                raise UserError(f"{self.document.where(key)}: {name!r} cannot name a setting: expected letters, digits "
                                "and _ (and no method of dict, such as items), so that cfg.<name> is the setting")
            self.rules[key] = None if isinstance(value, dict) else Rule(value, self.document.comments[key])
            if isinstance(value, dict):
                self.add(value, key + ".")

    def check(self, pairs, file=None, prefix=""):
        """{dotted key: value as its rule wants it} of (key, value) pairs, where the value of a section is a mapping.

        They were given in `file`, in which their keys begin with prefix, or typed. Raises one UserError for all that is
        wrong.
        """
        values, wrong = {}, []
        for key, value in self.leaves(pairs):
            place, folder = (file.where(prefix + key), paths.ROOT) if file else (TYPED, os.getcwd())
            rule = self.rules.get(key)
            if key not in self.rules:
                hint = "" if file else hint_for_files([f"{key}={value}"])
                wrong.append(f"unknown setting {key!r} ({place}): {self.advice(key)}{hint}")
            elif key in values:
                wrong.append(f"{key!r} is given twice ({place}): keep one of the two")
            elif rule is None:
                wrong.append(f"{key!r} cannot be {quote(value)} ({place}): expected a section: see "
                             f"{self.document.where(key)}")
            else:
                try:
                    values[key] = rule.fit(value, rule.default, folder)
                except (TypeError, ValueError):
                    wrong.append(f"{key!r} cannot be {quote(value)} ({place}): expected {rule.describe()}: see "
                                 f"{self.document.where(key)}")
        if wrong:
            raise UserError(join_some(wrong))
        return values

    def leaves(self, pairs):
        for key, value in pairs:
            if key in self.sections and isinstance(value, dict):
                yield from self.leaves([(f"{key}.{name}", inner) for name, inner in value.items()])
            else:
                yield key, value

    def advice(self, key):
        """The nearest setting, where there is one, and where the section is listed that the key seems to be in."""
        section, _, name = key.rpartition(".")
        beside = {other.rpartition(".")[2]: other for other in self.rules if other.rpartition(".")[0] == section}
        namesakes = [other for other in self.rules if other.rpartition(".")[2] == name]
        near = [beside[other] for other in difflib.get_close_matches(name, beside, n=1)]
        if name_today(key) in self.rules:
            near = [name_today(key)]
        if not near and namesakes:                          # the right name in a wrong section
            near = difflib.get_close_matches(key, namesakes, n=1, cutoff=0)
        if not near and not (section and beside):           # inside a section its name would make every key look near
            near = difflib.get_close_matches(key, self.rules, n=1)
        section = near[0].rpartition(".")[0] if near else section
        while section and section not in self.sections:
            section = section.rpartition(".")[0]
        question = f"did you mean {near[0]!r}? " if near else ""
        if section:
            return f"{question}Settings of {section!r} are listed in {self.document.where(section)}"
        return f"{question}Settings are listed in {self.document.name}"

    def nest(self, values):
        """Settings with the values at their places, every section present, in the order of the file."""
        sections = {"": Settings()}
        for key, rule in self.rules.items():
            above, _, name = key.rpartition(".")
            sections[above][name] = values[key] if rule else sections.setdefault(key, Settings())
        return sections[""]


# ---- from a case and a command line to its settings ----
@dataclass
class Resolved:
    """The settings of one run and where they come from."""
    config: Settings            # all settings, paths absolute; without about, demo and presets
    about: dict                 # the paper: title, authors, ...
    typed: dict                 # {dotted key: value} given on the command line
    paths: set                  # dotted keys of the settings that are paths
    source: Path                # configs/<case>.yaml
    preset: str | None          # the preset asked for

    def judged_settings(self):
        """Plain dictionary of the settings that decide a result: all but the paths and the machine's (workers, threads,
        device)."""
        return self._judged_settings(self.config, "")

    def _judged_settings(self, section, above):
        kept = {}
        for name, value in section.items():
            if isinstance(value, dict):
                kept[name] = self._judged_settings(value, f"{above}{name}.")
            elif name not in MACHINE and above + name not in self.paths:
                kept[name] = value
        return kept


def split_words(argv):
    """(options, words): the words of the form key=value, taken out wherever they stand (./a=b.png is none)."""
    return [word for word in argv if not WORD.match(word)], [word for word in argv if WORD.match(word)]


def hint_for_files(words):
    """How to give a file whose name looks like a setting or an option, where one of the words does; else nothing."""
    files = [word for word in words if os.path.isfile(word) or FILE.fullmatch(word)]
    return f" (if {files[0]} is a file, say ./{files[0]})" if files else ""


def resolve(case, words=(), config_file=None, demo=False):
    """The settings of a case after all that may change them. Raises UserError for every mistake in a file or word.

    Later wins: configs/<case>.yaml; the preset named by the word preset=<name>; config_file, whose own `presets` and
    `demo` add to the case's; `demo` when demo is true; the other words key=value. Paths in files are relative to the
    repository, typed ones to the working directory.
    """
    source = paths.ROOT / "configs" / f"{case}.yaml"
    known = [*paths.all_cases(), *(path.stem for path in source.parent.glob("*.yaml"))]
    _expect_known("case", case, known, "The cases are")
    base = Document(source)
    files = [base] if config_file is None else [base, Document(Path(config_file))]
    schema = Schema(base)
    pairs, preset = _parse(words, schema)
    if preset is not None:
        presets = [name for file in files for name in file.section("presets")]
        _expect_known("preset", preset, presets, f"The presets of {case} are")
    layers = [(base,)] + [(file, "presets", preset) for file in files if preset is not None]
    layers += [(file,) for file in files[1:]] + [(file, "demo") for file in files if demo]
    values = {}
    for file, *names in layers:
        values |= schema.check(file.section(*names).items(), file, "".join(f"{name}." for name in names))
    typed = schema.check(pairs)
    path_keys = {key for key, rule in schema.rules.items() if rule and rule.path}
    return Resolved(schema.nest(values | typed), base.section("about"), typed, path_keys, source, preset)


def _expect_known(what, name, names, introduction):
    if name not in names:
        near = "".join(f"did you mean {other!r}? " for other in difflib.get_close_matches(name, names, n=1))
        raise UserError(f"unknown {what} {name!r}: {near}{introduction}: {', '.join(sorted(set(names))) or 'none'}")


def _parse(words, schema):
    """([(key, value)], preset name or None) of words key=value, read as YAML but for a single path, which is taken as
    typed."""
    pairs, presets = [], []
    for key, _, text in (word.partition("=") for word in words):
        # network=small: network.name=small
        key = f"{key}.name" if key in schema.sections and f"{key}.name" in schema.rules else key
        rule = schema.rules.get(key)
        if key == "preset":
            presets.append(text)
        elif rule and rule.path and not isinstance(rule.default, list):
            pairs.append((key, None if text == "null" else text))       # so that "my set #2" and 2024 can be folders
        else:
            pairs.append((key, Document(text, f"{quote(f'{key}={text}')} ({TYPED})", lined=False).values))
    if len(presets) > 1:
        raise UserError(f"'preset' is given twice ({TYPED}): keep one of the two")
    return pairs, presets[0] if presets else None


def name_today(key):
    """The name of today of a setting's dotted key, which results and weights of before may carry."""
    for before, today in RENAMED.items():
        if key == before or key.startswith(before + "."):
            return today + key.removeprefix(before)
    return key


def decides_training(key):
    """Whether a setting has to do with train.py: not those of the other scripts, and not the machine's."""
    section, _, name = key.partition(".")
    return section not in ("test", "figures", "seed", *MACHINE) and name not in MACHINE


def flatten(nested, above=""):
    """Nested dictionaries as one: {dotted key: value}."""
    values = {}
    for name, value in nested.items():
        values |= flatten(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return values


def flatten_settings(settings):
    """Nested settings, of today or before, as {dotted key of today: value}."""
    return {name_today(key): value for key, value in flatten(settings).items()}


def plain(settings):
    """Settings as plain dictionaries and lists, as weights files hold them."""
    return json.loads(json.dumps(settings))
