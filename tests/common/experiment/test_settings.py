"""Settings: the YAML dialect, the order of layers, the checks with their messages, and every configs/*.yaml that is
found."""
import copy
import os
import pickle

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kind_case import KIND, kind, write  # noqa: F401  fixtures

from common.base import paths
from common.base.errors import UserError
from common.base.yaml_text import Document, load_yaml, to_yaml
from common.experiment.settings import Schema, Settings, _parse, resolve, split_words

# ---- the dialect ----

@pytest.mark.parametrize(("text", "value"), [
    ("1e-4", 1e-4), ("4E-4", 4e-4), ("2e4", 2e4), ("-.5", -.5), ("+1.", 1.0), ("1.5e+3", 1500.0),
    ("017", 17), ("08", 8), ("-3", -3), ("+3", 3),
    ("true", True), ("false", False), ("null", None), ("~", None), ("", None),
    ("no", "no"), ("off", "off"), ("on", "on"), ("yes", "yes"), ("True", "True"), ("1:30", "1:30"),
    ("2024-01-01", "2024-01-01"),
    (".inf", ".inf"), (".nan", ".nan"), ("1e999", "1e999"), ("1_000", "1_000"), ("0x1F", "0x1F"), ("e5", "e5"),
    (".", "."), ("=", "="),
    ("'1e-4'", "1e-4"), ('"true"', "true"), ("''", ""), ("[32, 64]", [32, 64]),
    ("{a: 1, b: [x]}", {"a": 1, "b": ["x"]}), ("<<", "<<"),
])
def test_words_mean_what_people_expect(text, value):
    read = load_yaml(text)
    assert read == value
    assert type(read) is type(value)


def test_byte_order_mark_and_windows_line_ends():
    document = Document("\ufeffa: 1  # [0, 2] first\r\nb: 点亮  # second\r\n".encode())
    assert document.values == {"a": 1, "b": "点亮"}
    assert document.comments == {"a": "[0, 2] first", "b": "second"}
    assert document.lines == {"a": 1, "b": 2}


def test_comments_belong_to_their_key():
    document = Document("""\
a: 'x # y'  # one
b:   # two
  c: [1,   # inside
    2]  # three
  d: 4
  # below d
e: |
  text
# below e
f:    # five
g: {h: 1, i: 2}  # six
j: {
  k: 1,  # seven
  l: 2   # eight
}
""")
    assert document.comments == {"a": "one", "b": "two", "b.c": "three", "b.d": "", "e": "", "f": "five",
                                 "g": "six", "g.h": "", "g.i": "", "j": "", "j.k": "seven", "j.l": "eight"}
    assert document.lines["b.d"] == 5
    assert document.values["f"] is None
    assert document.values["e"] == "text\n"


@pytest.mark.parametrize(("data", "words"), [
    ("a: 1\nb:\n  c: 1\n  c: 2\n", ["mine.yaml, line 4", "'b.c' is given twice", "line 3"]),
    ("a: 1\nb: [1, 2\n", ["mine.yaml, line 3", "cannot be read as YAML"]),
    ("a: 1\n\tb: 2\n", ["mine.yaml, line 2", "\\t", "no tabs"]),
    ("a: b: c\n", ["line 1", "mapping values are not allowed"]),
    ("a: 1\nb: caf\xe9\n".encode("latin-1"), ["line 2", "UTF-8"]),
    ("a: 1\nb: x\x07\n", ["line 2", "special characters are not allowed"]),
    ("a: &x 1\nb: *x\n", ["line 2", "aliases"]),
    ("a: &x [*x]\n", ["line 1", "aliases"]),
    ("a: !!python/object/apply:os.system [ls]\n", ["line 1", "tags"]),
    ("a: 1\n---\nb: 2\n", ["line 2", "another document"]),
    ("a: 1\n5: 2\n", ["line 2", "the key 5 is no text"]),
    ("? [a]\n: 1\n", ["line 1", 'the key ["a"] is no text']),
    ("a: " + "[" * 900, ["nested too deeply"]),
], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_what_cannot_be_read_is_one_message(data, words):
    with pytest.raises(UserError) as caught:
        load_yaml(data, "mine.yaml")
    assert all(word in str(caught.value) for word in words), caught.value


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters()) | st.binary())
@example("&a [*a]")
@example("9" * 5000)
@example("%YAML 9.9\n---\n")
def test_any_text_is_read_or_refused(text):
    try:
        load_yaml(text)
    except UserError:
        pass


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-10**20, 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)


@settings(deadline=None, max_examples=60)
@given(plain)
@example({"a": "1e-4", "b": "08", "c": "no", "d": "", "e": "null", "f": ["x: y", "# z"], "g": 1e-5, "h": 1e22, "i": {},
          "j": []})
@example([[[1, 2], [3]], "1:30", "2024-01-01", "=", "<<", "~", "\u2028", "\x85", "a\nb", "a" * 300 + " " + "b" * 300])
def test_what_is_written_reads_back(values):
    text = to_yaml(values)
    assert load_yaml(text) == values
    assert load_yaml(text.encode()) == values
    assert "\r" not in text


def test_written_yaml_is_in_order_and_readable_by_others():
    values = {"z": [32, 64], "a": {"lr": 1e-5, "name": "no"}, "shared": [[1], [1]]}
    text = to_yaml(Settings(values))
    assert text == "z: [32, 64]\na:\n  lr: 1.0e-05\n  name: 'no'\nshared:\n- [1]\n- [1]\n"
    assert yaml.safe_load(text) == values
    same = [1, 2]
    assert load_yaml(to_yaml({"a": same, "b": same})) == {"a": same, "b": same}


def test_settings_are_dictionaries_with_attributes():
    cfg = Settings(train=Settings(lr=1))
    cfg.train.lr = 2
    assert cfg["train"]["lr"] == cfg.train.lr == 2
    assert dict(**cfg.train) == {"lr": 2}
    for other in (copy.deepcopy(cfg), pickle.loads(pickle.dumps(cfg))):
        assert other == cfg
        assert other.train.lr == 2
    with pytest.raises(AttributeError, match="no setting 'rl' here: there are lr"):
        cfg.train.rl      # noqa: B018


# ---- words and layers ----

def test_words_are_taken_out_wherever_they_stand():
    argv = ["--name", "x", "train.lr=1e-4", "--input", "./a=b.png", "seed=2", "--config=f.yaml", "=3", "dir/a=b", "2=3",
            "_x=", "a.b=c=d"]
    assert split_words(argv) == (["--name", "x", "--input", "./a=b.png", "--config=f.yaml", "=3", "dir/a=b", "2=3"],
                                 ["train.lr=1e-4", "seed=2", "_x=", "a.b=c=d"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters())))
def test_split_words_loses_nothing(argv):
    options, words = split_words(argv)
    assert sorted(options + words) == sorted(argv)
    assert all("=" in word for word in words)


def test_defaults(kind):
    found = resolve("kind")
    assert list(found.config) == ["data", "model", "train", "styles", "seed"]
    assert found.config.train == {"lr": 4e-4, "batch_size": 4, "steps": 20000, "note": "plain"}
    assert isinstance(found.config.train, Settings)
    assert found.config.data.root == str(kind / "datasets/LOL")
    assert found.config.styles == [str(kind / "a.png")]
    assert found.config.model.weights is None
    assert found.about["idea"] == {"en": "light up", "zh": "点亮"}
    assert (found.typed, found.preset) == ({}, None)
    assert found.paths == {"data.root", "model.weights", "styles"}
    assert found.source == kind / "configs/kind.yaml"


def test_later_layers_win(kind, write):
    mine = write("train: {steps: 7, batch_size: 2}\nseed: 5\n")
    assert resolve("kind", ["preset=paper"]).config.train.steps == 500
    assert resolve("kind", ["preset=paper"], mine).config.train == {"lr": 1e-3, "batch_size": 2, "steps": 7,
                                                                    "note": "plain"}
    assert resolve("kind", ["preset=paper"], mine, demo=True).config.train.steps == 12
    last = resolve("kind", ["train.steps=3", "preset=paper"], str(mine), demo=True)
    assert (last.config.train.steps, last.config.train.lr, last.config.seed, last.preset) == (3, 1e-3, 5, "paper")
    assert last.typed == {"train.steps": 3}


def test_a_changed_copy_of_the_whole_file_works_as_config(kind, write):
    mine = write(KIND.replace("steps: 12", "steps: 13").replace("seed: 1 ", "seed: 9 ").replace("  wide:", "  mine: "
                                                                                                           "{seed: "
                                                                                                           "4}\n  "
                                                                                                           "wide:"))
    assert resolve("kind", (), mine).config.seed == 9
    assert resolve("kind", (), mine, demo=True).config.train.steps == 13
    assert resolve("kind", ["preset=mine"], mine).preset == "mine"


@pytest.mark.parametrize(("word", "value"), [
    ("model.widths=[16,32,8]", [16, 32, 8]), ("model.widths=[]", []), ("model.rates=[1, .25]", [1.0, .25]),
    ("train.lr=1e-4", 1e-4), ("train.lr=1", 1.0), ("train.steps=2e4", 20000), ("train.steps=017", 17),
    ("model.exposure=null", None), ("model.exposure=.3", .3), ("model.extra=1:30", "1:30"), ("model.extra=true", True),
    ("model.extra=", None), ("model.residual=false", False), ("data.kind=synthetic", "synthetic"),
    ("train.note=off", "off"), ("train.note='2'", "2"), ("train.note=''", ""), ("seed=0", 0),
])
def test_typed_values(kind, word, value):
    key, _, _ = word.partition("=")
    found = resolve("kind", [word]).typed[key]
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, list):
        assert [type(item) for item in found] == [type(item) for item in value]


def test_a_section_may_be_typed_whole_and_dots_may_stand_in_a_file(kind, write):
    assert resolve("kind", ["train={lr: 0.5, steps: 3}"]).typed == {"train.lr": .5, "train.steps": 3}
    assert resolve("kind", (), write("train.lr: 0.5\n")).config.train.lr == .5


@pytest.mark.parametrize(("typed", "path"), [
    ("pictures", "elsewhere/pictures"), ("../x", "x"), ("my set #2: new", "elsewhere/my set #2: new"),
    ("2024", "elsewhere/2024"),
    ("[a]", "elsewhere/[a]"), ("/", "/"), ("~", "~")])
def test_typed_paths_begin_at_the_working_directory(kind, typed, path):
    expected = os.path.expanduser("~") if path == "~" else str(kind / path)
    assert resolve("kind", [f"data.root={typed}"]).config.data.root == expected
    assert resolve("kind", ["styles=[x.png, ../y.png]"]).config.styles == [str(kind / "elsewhere/x.png"),
                                                                           str(kind / "y.png")]


def test_paths_in_files_begin_at_the_repository(kind, write):
    assert resolve("kind", ["preset=paper"]).config.data.root == str(kind / "datasets/paper")
    assert resolve("kind", (), write("data: {root: sets/a}\nmodel: {weights: "
                                     "w.pt}\n")).config.model.weights == str(kind / "w.pt")


def test_judged_settings_leave_the_machine_out(kind):
    found = resolve("kind", ["data.workers=0", "train.lr=1e-05", "preset=paper", "model.weights=w.pt"])
    judged = found.judged_settings()
    assert judged["data"] == {"kind": "lol", "patch": 48}
    assert "weights" not in judged["model"]
    assert list(judged) == ["data", "model", "train", "seed"]
    assert type(judged) is type(judged["train"]) is dict
    assert load_yaml(to_yaml(found.judged_settings())) == judged
    same = resolve("kind", ["preset=paper", "data.root=/x", "train.lr=0.00001", "data.workers=7"])
    assert to_yaml(found.judged_settings()) == to_yaml(same.judged_settings())
    assert "preset" not in to_yaml(found.judged_settings())


def test_a_written_configuration_brings_the_same_settings_back(kind, write):
    found = resolve("kind", ["preset=paper", "model.exposure=0.25", "train.note='no'"])
    assert resolve("kind", (), write(to_yaml(found.judged_settings()))).judged_settings() == found.judged_settings()


KEYS = ["data.kind", "data.root", "data.patch", "model.widths", "model.rates", "model.exposure", "model.extra",
        "model.weights",
        "model.residual", "train.lr", "train.steps", "train.note", "train", "styles", "preset", "about", "x",
        "train..lr"]
TEXTS = ["{lr: {a: 1}}", "{}", "[[1]]", "[null]", "1e400", "9" * 400, "{lr: 1, lr: 2}", "[" * 500, "&a [*a]"]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(KEYS), st.text(st.characters()) | plain.map(to_yaml) | st.sampled_from(TEXTS))
def test_any_word_gives_a_value_or_a_user_error(key, text):
    schema = Schema(Document(KIND))
    try:
        pairs, _ = _parse([f"{key}={text}"], schema)
        values = schema.check(pairs)
    except UserError as problem:
        assert "\n" not in str(problem)
    else:
        assert set(values) <= set(schema.rules)
        values = {key: value for key, value in values.items() if not schema.rules[key].path}
        assert load_yaml(to_yaml(values)) == values


# ---- the files that are found ----

FILES = sorted((paths.ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_configuration_is_sound(path):
    document = Document(path)
    variants = [resolve(path.stem), resolve(path.stem, demo=True)]
    variants += [resolve(path.stem, [f"preset={name}"]) for name in document.section("presets")]
    for found in variants:
        assert load_yaml(to_yaml(found.judged_settings())) == found.judged_settings()


def test_every_case_has_a_configuration():
    assert set(paths.all_cases()) <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_setting_is_commented(path):
    document = Document(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    explained = [key for key, rule in Schema(document).rules.items() if rule is not None]
    explained += [f"presets.{name}" for name in document.section("presets")]
    bare = []
    for key in explained:
        line = document.lines[key] - 1
        if "#" not in lines[line] and not lines[line - 1].strip().startswith("#"):
            bare.append(key)
    assert not bare
