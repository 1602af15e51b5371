"""Settings: every mistake of a user in a word or a file gets one message that names it."""

import pytest
from kind_case import KIND, kind, mistake, write  # noqa: F401  fixtures

from common.base import paths
from common.base.errors import UserError
from common.base.yaml_text import APART, Document
from common.experiment.settings import resolve

# ---- the user's mistakes ----

def test_a_misspelt_key_is_told_the_nearest_one(kind):
    assert mistake("train.batchsize=3") == (
        "unknown setting 'train.batchsize' (given on the command line): did you mean 'train.batch_size'? "
        "Settings of 'train' are listed in configs/kind.yaml, line 16")


@pytest.mark.parametrize(("word", "nearest", "listing"), [
    ("lr=1", "'train.lr'", "'train'"), ("trian.lr=1", "'train.lr'", "'train'"), ("model.lr=1", "'train.lr'", "'train'"),
    ("train.lr.x=1", "'train.lr'", "'train'"), ("trian.batchsize=1", "'train.batch_size'", "'train'"),
    ("sed=1", "'seed'", None),
    ("demo.train.steps=1", "'train.steps'", "'train'"), ("trian={lr: 1}", "'train'", None), ("about=x", None, None),
    ("train.zzz=1", None, "'train'"), ("train.=1", None, "'train'"), ("zzz=1", None, None),
])
def test_advice(kind, word, nearest, listing):
    message = mistake(word)
    assert ("did you mean" in message) == (nearest is not None)
    assert f"did you mean {nearest}?" in message or nearest is None
    assert (f"Settings of {listing} are listed in configs/kind.yaml, line" in message) == (listing is not None)
    assert message.endswith("Settings are listed in configs/kind.yaml") == (listing is None)


WRONG = [                                       # word, the value as it is quoted, what was expected
    ("train.steps=many", "'many'", "a whole number in [1, inf)"), ("train.steps=2.5", "2.5", "a whole number in [1, "
                                                                                             "inf)"),
    ("train.steps=true", "true", "a whole number in [1, inf)"), ("train.steps=", "null", "a whole number in [1, inf)"),
    ("train.steps=0", "0", "a whole number in [1, inf)"), ("data.patch=513", "513", "a whole number in [1, 512]"),
    ("train.lr=0", "0", "a number in (0, 1]"), ("train.lr=1.01", "1.01", "a number in (0, 1]"),
    ("train.lr=.inf", "'.inf'", "a number in (0, 1]"), ("train.lr=1e999", "'1e999'", "a number in (0, 1]"),
    ("train.lr={a: 1}", '{"a": 1}', "a number in (0, 1]"), ("train.lr=[1]", "[1]", "a number in (0, 1]"),
    ("train=3", "3", "a section"), ("train=", "null", "a section"), ("train.note=7", "7", "text"),
    ("model.residual=True", "'True'", "true or false"), ("model.residual=1", "1", "true or false"),
    ("model.widths=32", "32", "a list, each element a whole number in [1, inf)"),
    ("model.widths=[32, x]", '[32, "x"]', "a list, each element a whole number in [1, inf)"),
    ("model.widths=[0]", "[0]", "a list, each element a whole number in [1, inf)"),
    ("model.rates=[1.5]", "[1.5]", "a list, each element a number in (0, 1]"),
    ("model.exposure=bright", "'bright'", "a number in [0, 1] or null"), ("model.exposure=2", "2", "a number in [0, 1] "
                                                                                                   "or null"),
    ("model.extra=None", "'None'", "a single value (written null, true, false where one is meant) or null"),
    ("model.extra=[1]", "[1]", "a single value (written null, true, false where one is meant) or null"),
    ("data.kind=LOL", "'LOL'", "one of 'lol', 'synthetic'"), ("data.kind=null", "null", "one of 'lol', 'synthetic'"),
    ("data.root=", "''", "a path"), ("data.root=null", "null", "a path"), ("styles=[1]", "[1]", "a list, each element "
                                                                                                "a path"),
    ("train.note=[" + "x, " * 99 + "]", "[" + '"x", ' * 15 + '"...', "text"),
]


@pytest.mark.parametrize(("word", "quoted", "expected"), WRONG, ids=[word[:30] for word, _, _ in WRONG])
def test_wrong_values(kind, word, quoted, expected):
    key = word.partition("=")[0]
    message, _, line = mistake(word).rpartition(" ")
    said = f"'{key}' cannot be {quoted} (given on the command line): expected {expected}"
    assert message == f"{said}: see configs/kind.yaml, line"
    assert KIND.splitlines()[int(line) - 1].strip().startswith(key.rpartition(".")[2] + ":")


def test_words_that_cannot_be_read(kind):
    assert mistake("model.widths=[32, 64").startswith("'model.widths=[32, 64' (given on the command line): cannot be "
                                                      "read as YAML: ")
    assert "'lr' is given twice" in mistake("train={lr: 1, lr: 2}")
    assert mistake("data={root: 7}").startswith("'data.root' cannot be 7 ")


def test_unknown_presets(kind):
    assert mistake("preset=papr") == "unknown preset 'papr': did you mean 'paper'? The presets of kind are: paper, wide"
    assert mistake("preset=") == "unknown preset '': The presets of kind are: paper, wide"


def test_given_twice(kind):
    assert mistake("train.lr=1", "seed=3",
                   "train.lr=1") == "'train.lr' is given twice (given on the command line): keep one of the two"
    assert "'train.lr' is given twice" in mistake("train={lr: 1}", "train.lr=1")
    assert "'preset' is given twice" in mistake("preset=paper", "preset=wide")


def test_several_mistakes_are_listed_together(kind):
    message = mistake("train.lr=x", "sed=3", "data.kind=y")
    assert message.count(" (given on the command line)") == 3
    assert "; and 5 more" in mistake(*(f"x{number}=1" for number in range(15)))


@pytest.mark.parametrize(("text", "words"), [
    ("seed: 2\ntrain:\n  lr: 1\n  step: 3\n", ["unknown setting 'train.step' (mine.yaml, line 4): did you mean "
                                               "'train.steps'?", "line 16"]),
    ("train:\n  lr: fast\n", ["'train.lr' cannot be 'fast' (mine.yaml, line 2)", "a number in (0, 1]"]),
    ("train:\n", ["'train' cannot be null (mine.yaml, line 1)", "expected a section"]),
    ("data:\n  root: 7\n", ["'data.root' cannot be 7 (mine.yaml, line 2)", "a path"]),
    ("data:\n  root: ''\n", ["cannot be ''", "a path"]),
    ("train: {lr: 1}\ntrain.lr: 1\n", ["'train.lr' is given twice (mine.yaml, line 2)"]),
    ("seed: 1\nseed: 2\n", ["mine.yaml, line 2: 'seed' is given twice, first in line 1"]),
    ("preset: paper\n", ["unknown setting 'preset' (mine.yaml, line 1)"]),
    ("", ["mine.yaml, line 1: the file is empty"]),
    ("# nothing\n", ["the file is empty"]),
    ("- a\n- b\n", ['mine.yaml, line 1: ["a", "b"] is no setting']),
    ("seed\n", ["mine.yaml, line 1: 'seed' is no setting"]),
    (b"\xff\xfes\x00", ["mine.yaml, line 1: not UTF-8 text"]),
    ("seed: [1\n", ["mine.yaml, line 2: cannot be read as YAML"]),
    ("demo: 3\n", ["mine.yaml, line 1: 'demo' cannot be 3"]),
    ("presets: [paper]\n", ["mine.yaml, line 1: 'presets' cannot be"]),
    ("presets:\n  paper: 3\n", ["mine.yaml, line 2: 'presets.paper' cannot be 3"]),
    ("presets:\n  paper:\n    sead: 3\n", ["unknown setting 'sead' (mine.yaml, line 3): did you mean 'seed'?"]),
    ("demo:\n  train:\n    steps: 0\n", ["'train.steps' cannot be 0 (mine.yaml, line 3)"]),
])
def test_mistakes_in_a_file(kind, write, text, words):
    message = mistake("preset=paper", config_file=write(text), demo=True)
    assert all(word in message for word in words), message


def test_files_that_are_not_there(kind):
    message = mistake(config_file="nowhere/mine.yaml")
    assert message.startswith("elsewhere/nowhere/mine.yaml: cannot be read: No such file")
    assert mistake(config_file=kind / "configs").startswith("configs: cannot be read: ")
    assert mistake(config_file=kind.parent / "x.yaml").startswith(str(kind.parent / "x.yaml"))


def test_unknown_case(kind):
    with pytest.raises(UserError, match=r"^unknown case 'kimd': did you mean 'kind'\? The cases are: kind$"):
        resolve("kimd")


def test_cases_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(UserError, match="The cases are: none"):
        resolve("kind")
    for name, file in [("udis", "train.py"), ("siamfc", "model.py"), ("old", "notes.txt")]:
        (tmp_path / "cases" / name).mkdir(parents=True)
        (tmp_path / "cases" / name / file).touch()
    (tmp_path / "cases/__init__.py").touch()
    assert paths.all_cases() == ["siamfc", "udis"]
    with pytest.raises(UserError, match="The cases are: siamfc, udis"):
        resolve("old")
    with pytest.raises(UserError, match=r"^configs/udis.yaml: cannot be read: No such file"):
        resolve("udis")


@pytest.mark.parametrize(("text", "words"), [
    ("seed: 0   # [1, inf) draws\n", ["'seed' cannot be 0 (configs/bad.yaml, line 1)", "in [1, inf)"]),
    ("kind: x   # a | b: which\n", ["'kind' cannot be 'x'", "one of 'a', 'b'"]),
    ("a: 1\nbatch-size: 2\n", ["configs/bad.yaml, line 2: 'batch-size' cannot name a setting"]),
    ("train:\n  items: 2\n", ["configs/bad.yaml, line 2: 'items' cannot name a setting", "no method of dict"]),
    ("list: [{a: 1}]\n", ["'list' cannot be"]),
])
def test_mistakes_in_the_file_of_a_case(tmp_path, monkeypatch, text, words):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/bad.yaml").write_text(text)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(UserError) as caught:
        resolve("bad")
    assert all(word in str(caught.value) for word in words), caught.value


def test_choices_may_be_numbers_and_null(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/odd.yaml").write_text("levels: 2   # 1 | 2 | null: how many\nflips: [x]   # x | y: "
                                               "axes\nnone: {}   # empty\n")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert resolve("odd").config == {"levels": 2, "flips": ["x"], "none": {}}
    assert resolve("odd", ["levels=null", "flips=[y, x]"]).config == {"levels": None, "flips": ["y", "x"], "none": {}}
    for word in ("levels=3", "levels=true", "flips=[z]", "flips=x"):
        with pytest.raises(UserError, match="expected .*one of"):
            resolve("odd", [word])


@pytest.mark.parametrize("case, word, today", [
    ("siamfc", "data.test.root=clips", "test.root"), ("siamfc", "data.test.layout=otb", "test.layout"),
    ("udis", "data.test.root=pairs", "test.root"), ("view_free_stitch", "data.test.held_out=true", "test.held_out"),
    ("msrnet", "test.floors=false", "test.baselines"), ("kind", "test.floors=false", "test.baselines"),
    ("vgg19_style", "mode=fast", "stage")])
def test_words_of_before_name_those_of_today(case, word, today):
    with pytest.raises(UserError, match=f"unknown setting.*did you mean '{today}'"):
        resolve(case, [word])


def test_a_file_with_a_section_of_before_names_that_of_today(tmp_path):
    (tmp_path / "mine.yaml").write_text("data: {test: {root: clips}}\n")
    with pytest.raises(UserError, match="data.test.*mine.yaml, line 1.*did you mean 'test'"):
        resolve("siamfc", [], tmp_path / "mine.yaml")


def test_a_config_of_five_thousand_letters_is_told_shortly(kind):
    with pytest.raises(UserError, match="cannot be read") as problem:
        resolve("kind", [], "x" * 5000)
    assert len(str(problem.value)) < 600


@pytest.mark.parametrize("case", paths.all_cases())
def test_a_seed_that_no_generator_takes_is_refused(case):
    source = Document(paths.ROOT / "configs" / f"{case}.yaml")
    seeds = [key for key in source.lines if key.endswith("seed") and key.split(".")[0] not in APART]
    assert "seed" in seeds
    for key in seeds:
        with pytest.raises(UserError, match=rf"{key}.*\[0, 4294967295\]"):
            resolve(case, [f"{key}={2 ** 32}"])
