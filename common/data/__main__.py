"""The data sets from the command line.

python -m common.data check [NAME] [ROOT] [--decode]      exit status 0: fine, 1: something is missing or broken
python -m common.data get NAME                            downloads what its authors offer without an account
python -m common.data samples [NAME]                      builds the sample sets that are not built already
"""
import argparse
import sys
from pathlib import Path

from common.base.errors import Negative, UserError, join_some, start
from common.data import samples
from common.data.check import DATASETS, SETS, check, find_data_set
from common.data.download import install


def get(name, folder=None):
    """Download what is missing of a data set to datasets/NAME, or say why that cannot be done (Negative)."""
    data, root = find_data_set(name), Path(folder or DATASETS / name)
    if not data.archives:
        raise Negative(f"{name} cannot be downloaded by a program: get it from {data.source}; put it into {root}, "
                       f"then run `python -m common.data check {name}`")
    problems = []
    for number, archive in enumerate(data.archives, 1):
        target = root / archive.folder
        if target.is_dir() and any(target.iterdir()):
            print(f"{target} is there already")
            continue
        print(f"{number}/{len(data.archives)}: {archive.url}", flush=True)
        try:
            install(archive, root)
        except UserError as problem:
            problems.append(str(problem))
            if len(problems) == 3:                          # the server is away, most likely: why ask it 98 times
                break
    if problems:
        raise UserError(join_some(problems))
    print(f"{name} is in {root}; `python -m common.data check {name}` looks at every file")


def build_samples(name=None):
    """Build one sample set or all of them, where they are not built already, and say where they are."""
    for each in [name] if name else samples.SAMPLES:
        there = each in samples.SAMPLES and samples.is_whole(samples.FOLDER / each)
        print(f"{each}: {samples.build(each)}{' is there already' if there else ''}")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.data", epilog=f"data sets: {', '.join(SETS)}",
                                     description="Check data sets, download those that anybody may download, or build "
                                                 "the sample sets.")
    parser.add_argument("action", choices=["check", "get", "samples"])
    parser.add_argument("name", nargs="?", metavar="NAME",
                        help="the data set; check and samples without it take all of them")
    parser.add_argument("root", nargs="?", metavar="ROOT", help="its folder, if not datasets/NAME")
    parser.add_argument("--decode", action="store_true",
                        help="read every picture completely: slow, finds damage inside files too")
    options = parser.parse_args(argv)
    if options.action == "check":
        return check(options.name, options.root, options.decode)
    if options.action == "samples":
        return build_samples(options.name)
    if not options.name:
        raise UserError(f"get needs a name: one of {', '.join(SETS)} was expected")
    return get(options.name, options.root)


if __name__ == "__main__":
    sys.exit(start(main))
