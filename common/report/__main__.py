"""The report on all results: python -m common.report [--case CASE] [--name RUN] [--out FOLDER]   (make report)

report.html is one file that works offline, printed, on a phone, in English and Chinese; report.md beside it says the
same. With --skeleton CASE [--name RUN] [--lang zh|en] [--out FILE] [--force]: the report that the course asks of a
student, to be filled in.
"""
import argparse
import sys
from functools import partial
from pathlib import Path

from common.base import paths
from common.base.errors import UserError, start
from common.base.targets import expect_targets
from common.experiment.results import write_text
from common.report import page, run_folder, skeleton
from common.report.blocks import Both, Contents, Heading, Links, Paragraph, to_html, to_markdown
from common.report.case import case_blocks, title_of

TITLE = Both("Vision reproductions: results", "计算机视觉论文复现：结果")

CLOSING = [
    Paragraph(Both(
        "Pictures that come with the repository: the clips car and person are by Intel Corporation (CC BY 4.0), cut "
        "and scaled down; china and flower by danielbuechele and vultilion (CC BY 2.0), scaled and cropped. All other "
        "authors, licences and changes stand in `datasets/embedded/LICENCES.md`.",
        "仓库自带素材：片段 car 与 person 由 Intel Corporation 发布（CC BY 4.0），已截取并缩小；"
        "china 与 flower 的作者为 danielbuechele 与 vultilion（CC BY 2.0），已缩放、裁剪。"
        "其余作者、许可与改动见 `datasets/embedded/LICENCES.md`。"), "muted small footer"),
    Links([("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
           ("CC BY 2.0", "https://creativecommons.org/licenses/by/2.0/"),
           ("car, person", "https://github.com/intel-iot-devkit/sample-videos")])]


def main(argv=None):
    options = parse(argv)
    if options.skeleton is not None:
        print(skeleton.write(options.skeleton, options.name, options.lang, options.out, options.force))
        return 0
    if not paths.all_cases():
        raise UserError(f"there is no case in {paths.ROOT / 'cases'}: a folder with a model.py was expected: run this "
                        "inside the repository")
    folder = Path(options.out) if options.out else paths.ROOT / "results"
    for path in write(paths.choose_cases(options.case), options.name, folder):
        print(path)
    return 0


def parse(argv):
    parser = argparse.ArgumentParser(prog="python -m common.report", description=__doc__.split("\n\n")[1])
    parser.add_argument("--case", help="one case; without it all")
    parser.add_argument("--name", metavar="RUN",
                        help="the run; without it `default`, `check`, the newest, `demo`: the first that there is")
    parser.add_argument("--out", metavar="PATH",
                        help="the folder of report.html and report.md (results/), or the file of the skeleton")
    parser.add_argument("--skeleton", metavar="CASE",
                        help="write the outline of a student's report on a run of this case")
    parser.add_argument("--lang", choices=["zh", "en"], default="zh", help="language of the skeleton")
    parser.add_argument("--force", action="store_true",
                        help="write the skeleton over a file that is there, and what was written into it")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser.parse_args(argv)


def write(cases, name, folder):
    """Write report.html and report.md of these cases into folder, and return the two paths.

    What is damaged is said on stderr and in the report. Raises UserError for a run's name that no case has.
    """
    if name is not None and not any(name in run_folder.run_names(case) for case in cases):
        run_folder.choose_run(cases[0], name)
    cases = run_folder.in_course_order(cases)
    expect_targets([folder / "report.html", folder / "report.md"], option="--out")
    blocks = opening(cases)
    html = to_html(blocks, print)            # nothing in the opening can go wrong
    for case in cases:
        of_case, problems = case_blocks(case, name)
        for problem in problems:
            warn(case, problem)
        html += to_html(of_case, partial(warn, case))
        blocks = blocks + of_case
    html += to_html(CLOSING, print)
    write_text(folder / "report.html", page.document(" · ".join(TITLE), html, bilingual=True))
    write_text(folder / "report.md", to_markdown(blocks + CLOSING, folder))
    return folder / "report.html", folder / "report.md"


def warn(case, problem):
    print(f"warning: {case}: {problem}", file=sys.stderr)


def opening(cases):
    """The page's title, what it is, and, of several cases, the contents."""
    text = Both("Each paper with what was measured here beside what its authors published, under the same protocol "
                "where there is one. Made from the folder results/ by `python -m common.report`.",
                "逐篇列出本机测得的结果与已发表的数据，有协议的均注明协议。"
                "本页由 `python -m common.report` 根据 results/ 文件夹生成。")
    blocks = [Heading(1, TITLE), Paragraph(text, "muted")]
    if len(cases) == 1:
        return blocks
    return [*blocks, Contents([(case, case_title(case)) for case in cases])]


def case_title(case):
    """The paper's title; the case's name where its file cannot be read, which is said in its place."""
    try:
        return title_of(case, run_folder.about(case))
    except UserError:
        return case


if __name__ == "__main__":
    sys.exit(start(main))
