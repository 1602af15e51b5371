"""What each guarded process does: hold one submission against the reference, which it reads once.

A module of its own: a process finds what it is given by the module's name, and `__main__` is another one there.
"""
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from common.base.errors import UserError, join_some
from common.compare import page
from common.compare.judge import Judgement, Options, brief, check_manifest, contradictions, judge
from common.compare.submission import Submission, Unreadable


class Judge(NamedTuple):
    """Judges one path after the other beside the same reference, in a guarded process. Picklable."""
    reference: Path
    options: Options
    pages: bool                           # also the section of the HTML page

    def __call__(self, path):
        """(Judgement, the submission's section as HTML or "") of one submission."""
        reference = read_reference_once(self.reference)
        try:
            submission = Submission(path, {"train", *(f"test/{name}" for name in reference.sets)})
            judgement = judge(reference, submission, self.options)
        except Unreadable as problem:
            return judge_unreadable(path, problem, self.pages)
        return judgement, page.section(judgement, reference, submission) if self.pages else ""


def judge_unreadable(path, problem, pages):
    """(Judgement, section or "") of a submission that could not be judged."""
    judgement = Judgement(path.name or str(path), "unreadable", brief([problem]), [], [], [])
    return judgement, page.section(judgement) if pages else ""


def read_reference(path):
    """The reference as a Submission; UserError unless it can be read, has a test and is what its manifest says."""
    try:
        reference = Submission(path)
        tampered, incomplete = check_manifest(reference)
        if tampered or incomplete:
            raise Unreadable("it is not what its own manifest says: " + join_some(tampered + incomplete))
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
