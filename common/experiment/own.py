"""One's own material (--input) and where its results go (--output), the same in every case and settled before any work.

--output is a file where there is one result, else a folder; a name that ends with / or is that of a folder is a folder.
"""
import math
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from common.base.errors import UserError
from common.base.targets import expect_targets, free_name, unique_names
from common.data import images, video
from common.data.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES


class Made(NamedTuple):
    """A result to be made of a file: its own name, and what refuses the name that --output gives."""
    source: Path
    stem: str
    suffix: str
    unwritable: Callable           # (path, size) -> the reason, or None: common/data/images.py, video.py
    size: tuple | None = None      # (height, width) of a picture
    folder: Path | None = None     # where it goes without --output; None: beside the numbers in results/


def picture(source, stem=None, size=None):
    """The Made of a picture file. stem: of the result's name, where it is not the file's; size: of the result, where it
    is not the file's."""
    source = Path(source)
    given = images.picture_size(source)
    if given and math.prod(given) > images.MAX_PIXELS:       # it will not be read, which its own turn says
        size = given = None
    return Made(source, stem or source.stem, images.result_suffix(source), images.unwritable, size or given)


def film(source, folder, stem=None, suffix=None):
    """The Made of a video file. folder: where it goes without --output."""
    source = Path(source)
    return Made(source, stem or source.stem, suffix or video.result_suffix(source), video.unwritable, folder=folder)


def settle(run, made, also_read=()):
    """[path] of the results `made`, all of them checked (common/base/targets.py) before the first is begun.

    Without --output those with a folder get a name there that is free; the path of others is None: they are pictures
    beside the numbers in results/. also_read: more files that the work reads. Raises UserError.
    """
    output = run.options.output
    names = unique_names([each.stem for each in made], [each.suffix for each in made])
    if not output:
        targets = []
        for each, name in zip(made, names, strict=True):
            targets.append(free_name(each.folder / name, targets) if each.folder else None)
    elif is_folder(output, len(made)):
        targets = [Path(output) / name for name in names]
    else:
        targets = [Path(output)]
    files = [target or run.folder / "test" / f"{name}.png" for target, name in zip(targets, names, strict=True)]
    refused = [each.unwritable(file, each.size) for each, file in zip(made, files, strict=True)]
    expect_targets(files, [*(each.source for each in made), *also_read, *run.files_read()],
                   "--output" if output else "--name", filter(None, refused))
    return targets


def settle_folder(run, default, names, sources):
    """The folder that --output names for several files `names`, else `default` or one beside it that is free; checked
    as in settle()."""
    output = run.options.output
    if output:
        is_folder(output, len(names))
    folder = Path(output) if output else free_name(default)
    expect_targets([folder / name for name in names], [*sources, *run.files_read()], "--output" if output else "--name")
    return folder


def is_folder(output, count):
    """Whether --output, for `count` results, names a folder. Raises UserError where it is one file for several."""
    suffix = Path(output).suffix
    if output.endswith(("/", os.sep)) or Path(output).is_dir() or not suffix:
        return True
    if count == 1:
        return False
    kind = mimetypes.MimeTypes().guess_type(f"a{suffix}", strict=False)[0] or ""
    if kind.startswith(("image/", "video/")) or suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
        raise UserError(f"--output {output} is one file for {count} results: a folder was expected: name one, with / "
                        "at its end where its name looks like a file's")
    return True
