"""What each guarded process does: hold one submission against the reference, which it reads once.

A module of its own: a process finds what it is given by the module's name, and `__main__` is another one there.
"""
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from common.base.errors import UserError, join_some
from common.compare import page
from common.compare.contents import Unreadable
from common.compare.judge import Judgement, Options, brief, contradictions, judge
from common.compare.manifest import check_manifest
from common.compare.submission import Submission


class Judge(NamedTuple):
    """Judges one submission after the other beside the same reference, in a guarded process. Picklable."""
    reference: Path
    options: Options
    pages: bool                           # also the section of the HTML page
    brief: bool = False                   # that of a page of many: two thumbnails, the rest on a page of its own

    def __call__(self, handed_in):
        """(Judgement, Sections of the HTML page or None) of one (path, name)."""
        torch.set_num_threads(1)              # there is a process per core: more threads would only wait for each other
        path, name = handed_in
        reference = read_reference_once(self.reference)
        try:
            submission = Submission(path, {"train", *(f"test/{part}" for part in reference.sets)}, name)
            judgement = judge(reference, submission, self.options)
        except Unreadable as problem:
            return judge_unreadable(name, problem, self.pages)
        return judgement, page.sections(judgement, reference, submission, self.brief) if self.pages else None


def judge_unreadable(name, problem, pages):
    """(Judgement, Sections or None) of a submission that could not be judged."""
    judgement = Judgement(name, "unreadable", brief([problem]), [], [], [])
    return judgement, page.sections(judgement) if pages else None


def read_reference(path):
    """The reference as a Submission; UserError unless it can be read, has a test and is what its manifest says."""
    try:
        reference = Submission(path)
        if wrong := check_manifest(reference).decides:
            raise Unreadable("it is not what its own manifest says: " + join_some(wrong))
        if not reference.sets:
            raise Unreadable("it has no test results (test/<set>/metrics.json)")
        if wrong := contradictions(reference, reference)[0]:
            raise Unreadable(f"its numbers contradict each other: {join_some(wrong, 3)}")
    except Unreadable as problem:
        raise UserError(f"the reference cannot be used: {path}: {problem}: give the folder or zip of a finished "
                        "run") from None
    return reference


@lru_cache(maxsize=1)
def read_reference_once(path):
    """The reference, read once by each process."""
    return read_reference(path)
