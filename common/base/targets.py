"""What a script is going to write, looked at before any work: nothing that is read is ever written over."""
import contextlib
import itertools
import os
import unicodedata
from pathlib import Path

from common.base.errors import UserError, join_some
from common.base.files import part_of


def expect_targets(targets, inputs=(), option="--output", problems=()):
    """Raise one UserError that names every file of `targets` that must not, or cannot, be written.

    That is a target which is one of inputs, the files that are read (by device and inode: links, and disks that do not
    tell a.png from A.png, are seen through), or which is there already in one of the folders among them; two targets
    that are one; a place without the right to write, a name that is too long, a folder. Nothing stays of the trial.
    option: what the user chose the targets by; problems: what the caller has found already.
    """
    targets = list(map(Path, targets))
    problems = [*problems, *_overwritten(targets, inputs), *_twice(targets), *_unwritable(targets)]
    if problems:
        raise UserError(f"{option}: {join_some(problems)}: a file of its own, that can be written and is not read, "
                        f"was expected for every result: choose another {option}")


def unique_names(stems, suffixes=itertools.repeat("")):
    """stem + suffix of each, the second of two equal ones with -2 behind its stem, and so on.

    A name that nobody else has stays. Names that differ in case or in how their accents are coded count as equal: some
    disks take them for one.
    """
    pairs = list(zip(stems, suffixes))
    given, used, names = {_folded(stem + suffix) for stem, suffix in pairs}, set(), []
    for stem, suffix in pairs:
        name, count = stem + suffix, 1
        while _folded(name) in used or (count > 1 and _folded(name) in given):
            count += 1
            name = f"{stem}-{count}{suffix}"
        names.append(name)
        used.add(_folded(name))
    return names


def free_name(path, taken=()):
    """The path, or where something is there already the first of name-2, name-3 ... that is free, and not taken."""
    path, free, count = Path(path), Path(path), 1
    while os.path.lexists(free) or free in taken:
        count += 1
        free = path.with_name(f"{path.stem}-{count}{path.suffix}")
    return free


def _folded(name):
    return unicodedata.normalize("NFC", name).casefold()


def _identity(path):
    """What tells a file from all others: device and inode; of one that is not there those of its folder, and its name,
    spelling aside."""
    path, missing = path.resolve(), []
    while True:
        try:
            there = path.stat()
            return (there.st_dev, there.st_ino, *reversed(missing))
        except OSError:
            if path == path.parent:
                return (None, None, *reversed(missing))
            missing.append(_folded(path.name))
            path = path.parent


def _overwritten(targets, inputs):
    inputs = [path for path in map(Path, inputs) if os.path.exists(path)]
    files = {_identity(path): path for path in inputs if not os.path.isdir(path)}
    folders = [path.resolve() for path in inputs if os.path.isdir(path)]
    for target in targets:
        if source := files.get(_identity(target)):
            same = "" if source.absolute() == target.absolute() else f" (by the name {target})"
            yield f"would overwrite the input {source}{same}"
        elif os.path.exists(target):                         # Path.exists raises where a name is too long
            yield from (f"would overwrite {target} in {folder}, which is read"
                        for folder in folders if target.resolve().is_relative_to(folder))


def _twice(targets):
    seen = {}
    for target in targets:
        first = seen.setdefault(_identity(target), target)
        if first is not target:
            yield f"two results would be one file: {first}" + (f", {target}" if first != target else "")


def _unwritable(targets):
    """Folders, files that are write-protected, and for each folder why its longest name cannot be written."""
    longest = {}
    for target in targets:
        if os.path.isdir(target):
            yield f"cannot write (it is a folder): {target}"
        elif os.path.exists(target) and not os.access(target, os.W_OK):
            yield f"cannot write (the file there is write-protected): {target}"
        so_far = longest.get(target.parent, target)
        longest[target.parent] = max(so_far, target, key=lambda path: len(os.fsencode(path)))
    for target in longest.values():
        try:
            _try_to_write(target)
        except OSError as error:
            yield f"cannot write ({error.strerror}): {str(target)[:300]}"


def _try_to_write(path):
    """Make the folders of path and the hidden file that writing it whole begins with, and remove them again."""
    missing = [folder for folder in path.parents if not os.path.exists(folder)]        # the deepest first
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.lstat()                                     # too long a name, though that of its part is not
        part = part_of(path)
        open(part, "xb").close()
        part.unlink()
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
