"""The options of train.py, test.py and figures.py, the same in every case."""
import argparse
import sys

from common.base.errors import UserError
from common.experiment import settings


def parse(case, script, argv, shorthands=None):
    """The options that every script has, and the `key=value` words. Returns (options, words).

    shorthands: {option: (key, help)} of a case's settings that are options as well: `--ratio 5` for `test.ratio=5`.
    """
    argv = sys.argv[1:] if argv is None else argv
    options, words = settings.split_words(argv)
    parser = Parser(
        prog=f"cases/{case}/{script}.py", usage=f"python cases/{case}/{script}.py [options] [key=value ...]",
        epilog=f"key=value changes a setting of configs/{case}.yaml for this run, for example train.steps=100")
    parser.add_argument("--config", metavar="FILE", help="a YAML file whose keys replace those of the case's")
    parser.add_argument("--name", metavar="RUN",
                        help="the run's name in results/ and checkpoints/ (`default`; with --demo `demo`)")
    parser.add_argument("--demo", action="store_true", help="small settings on the embedded sample data")
    parser.add_argument("--device", default="auto", help="auto | cpu | cuda | cuda:N | any torch device")
    parser.add_argument("--weights", metavar="W",
                        help="a file, `best`, `last`, or the stem of a file in checkpoints/CASE/ (release)")
    parser.add_argument("--fresh", action="store_true", help="forget what this run has done before")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    if script == "test":
        parser.add_argument("--input", nargs="+", metavar="PATH",
                            help="your own files or folders instead of the test set")
        parser.add_argument("--output", metavar="PATH",
                            help="where results of --input go: a folder, or a file for one file")
    for option, (key, said) in (shorthands or {}).items():
        parser.add_argument(option, dest=key, metavar="X", help=f"{said} (the setting {key})")
    parser.hint = settings.hint_for_files([word for word in argv if word in words or word.startswith("-")])
    parsed = parser.parse_args(options)
    if script == "test" and parsed.output and not parsed.input:
        raise UserError(f"--output {parsed.output} is for the results of --input: your own files or folders were "
                        "expected: give --input, too; results of a test set go to results/")
    return parsed, words + [f"{key}={vars(parsed)[key]}" for key, _ in (shorthands or {}).values()
                            if vars(parsed)[key] is not None]


class Parser(argparse.ArgumentParser):
    """argparse's, whose complaints are a UserError and also say how a file is given whose name looks like something
    else."""
    hint = ""

    def error(self, message):
        raise UserError(f"{message}{self.hint}: python {self.prog} --help shows what can be said")


def check_name(name):
    """Raise UserError unless name can be a folder: letters, digits, `.`, `_`, `-`, and no leading dot."""
    if not name or name.startswith(".") or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise UserError(f"--name {name!r} cannot be a folder's name: expected letters, digits, '.', '_' or '-': choose "
                        "another")
    return name
