"""What the report says of one case: the paper, a run's numbers beside the published ones, pictures, settings, time."""
from common.base import paths
from common.base.errors import UserError
from common.base.files import leads_out
from common.base.progress import duration
from common.base.yaml_text import to_yaml
from common.data.formats import IMAGE_SUFFIXES
from common.experiment.results import is_number
from common.experiment.settings import flatten_settings
from common.metrics import metric_of
from common.report import run_folder
from common.report.blocks import (
    Both,
    Figure,
    Folded,
    Gallery,
    Heading,
    Links,
    Listing,
    Note,
    Paragraph,
    Slider,
    Table,
    both,
    code,
    each,
    join,
)
from common.report.tables import NETWORK, finite, measures, number_with_unit, numbers

PICTURES = 3                                               # of a test set that are shown
LINKS = {"paper": "论文", "code": "代码", "data": "数据"}   # what a configuration calls its addresses; others stay


def case_blocks(case, name=None):
    """(blocks, problems) of one case; name: the run asked for. Damage is said in its place and listed in problems."""
    try:
        about = run_folder.about(case)
    except UserError as problem:
        return [Heading(2, case, case), Note(str(problem), kind="bad")], [str(problem)]
    blocks = head(case, about)
    if name is not None and name not in run_folder.run_names(case):
        return blocks + nothing_yet(case, about, name), []
    try:
        run = run_folder.choose_run(case, name)
        return blocks + (run_blocks(run, about) if run else nothing_yet(case, about)), []
    except UserError as problem:
        mend = Both(" The rest of this case is left out.", " 该案例的其余部分从略。")
        return [*blocks, Note(join(str(problem), mend, between="."), kind="bad"), *numbers(None, about)], [str(problem)]


def title_of(case, about):
    """The case as a heading: its chapter in the course, and its name in both languages, else the paper's title."""
    name = both(about.get("name") or about.get("title") or case)
    return join(both(about["chapter"]), name) if about.get("chapter") else name


def head(case, about):
    """The paper: title, authors, year, links, and the idea in two lines."""
    authors = ", ".join(str(part) for part in (about.get("authors"), about.get("year")) if part)
    paper = about.get("title") if about.get("name") else None                   # else it is the heading
    place = " · ".join(filter(None, [paper, authors, code(f"cases/{case}")]))
    blocks = [Heading(2, title_of(case, about), case), Paragraph(place, "muted")]
    if about.get("idea"):
        blocks.append(Paragraph(both(about["idea"]), "lead"))
    links = about.get("links")
    if isinstance(links, dict) and links:
        blocks.append(Links([(Both(label, LINKS[label]) if label in LINKS else str(label), str(address))
                             for label, address in links.items()]))
    return blocks


def run_blocks(run, about):
    """All that is known of a run, in the order of interest."""
    release = run_folder.demo_release(run)
    blocks = [which_run(run), *not_yet(run, release), *numbers(run, about, release)]
    shown = release or run
    for test in shown.tests:
        blocks += pictures(shown, test)
    return blocks + figures(shown) + settings(run) + hardware(run) + (hardware(release) if release else [])


def which_run(run):
    """The run's name, where its weights come from, and the other runs that there are."""
    weights = ", ".join(dict.fromkeys(code(str(digest)[:12]) for digest in run.weights.values()))
    texts = [Both(f"Run {code(run.name)}", f"运行 {code(run.name)}")]
    if weights:
        texts.append(Both(f", weights with the content digest {weights}", f"，权重内容摘要 {weights}"))
    texts.append(Both(".", "。"))
    others = [code(name) for name in run_folder.run_names(run.case) if name != run.name]
    if others:
        texts.append(Both(f" Other runs of this case, which `--name` chooses: {', '.join(others)}.",
                          f"该案例的其他运行（用 `--name` 选择）：{'、'.join(others)}。"))
    return Paragraph(join(*texts, between=""))


# ---- what has not been run -------------------------------------------------------------------------------------------

def nothing_yet(case, about, name=None):
    """No run at all, or none of this name: how to make one, and what is published."""
    released = run_folder.weights_option(case, name or "check")
    text = Both("Nothing has been run yet. These commands measure and draw it:", "尚未运行。用以下命令测试并绘图：")
    if name:
        text = Both(f"There is no run {code(name)} of this case. These commands make it:",
                    f"该案例没有名为 {code(name)} 的运行。用以下命令生成：")
    scripts = ("test", "figures") if released else ("train", "test", "figures")
    name = name or ("check" if released else "default")
    made = Note(text, tuple(run_folder.command(case, script, name) for script in scripts))
    demo = Both("In minutes, on the embedded sample data:", "在内置样例数据上只需几分钟：")
    return [made, Note(demo, (f"python -m common.menu demo --case {case}",)), *numbers(None, about)]


def not_yet(run, release=None):
    """Notes on the parts of a run that are missing or were interrupted. release: of a demo, which draws its figures."""
    missing = []                                           # (script that makes it, text)
    if run.log and "train" not in run.weights:
        missing.append(("train", Both("The training has not ended yet: the same command goes on where it stopped.",
                                      "训练尚未结束：用同一命令可从中断处继续。")))
    missing += [("test", Both(f"The test on {code(name)} has not ended: the command that began it finishes it.",
                              f"{code(name)} 上的测试尚未完成：重新执行原命令即可补完。"))
                for name in run_folder.find_unfinished_tests(run.case, run.name)]
    if not run.tests:
        missing.append(("test", Both("No test has been run under this name yet:", "该运行尚未测试：")))
    if not (release or run).figures:
        missing.append(("figures", Both("No figures have been drawn under this name yet:", "该运行尚未绘图：")))
    return [Note(text, (run_folder.command(run.case, script, run.name),)) for script, text in missing]


# ---- pictures --------------------------------------------------------------------------------------------------------

def pictures(run, test):
    """The best, the median and the worst picture of a test, over their references where these can be found; of the row
    that the case's file names (about.row), else of the network's, else of the first that has any."""
    wanted = run_folder.about(run.case).get("row")
    for row in sorted(test.metrics, key=lambda row: (row != wanted, row.partition("/")[0] != NETWORK)):
        values = test.metrics[row]
        lines = [line for line in test.items
                 if line["row"] == row and line["status"] == "ok" and inside(test.folder, line["image"])]
        if lines:
            shown = [picture_block(run, test, line, place) for line, place in choose_lines(lines, measures(values))]
            sample = run_folder.on_sample_data(run, test)
            return [Heading(3, Both(f"Pictures of {test.name}, row {row}{' (sample data)' if sample else ''}",
                                    f"{test.name} 的图像（{row}{'，样例数据' if sample else ''}）")),
                    Gallery(shown, "small")]
    return []


def choose_lines(lines, names):
    """[(line, what it is)]: best, median, worst by the first metric; of one without direction highest to lowest."""
    known = [line for line in lines if names and finite(line.get(names[0]))]
    if len(known) < PICTURES:
        return [(line, None) for line in lines[:PICTURES]]
    direction = metric_of(names[0]).direction
    ranked = sorted(known, key=lambda line: float(line[names[0]]), reverse=direction != "lower")
    words = [Both("best", "最好"), Both("median", "中位"), Both("worst", "最差")]
    if direction == "two-sided":
        words = [Both("highest", "最高"), Both("median", "中位"), Both("lowest", "最低")]
    places = [Both(f"{word.en} {names[0]} of {len(ranked)}", f"{len(ranked)} 项中 {names[0]} {word.zh}")
              for word in words]
    return list(zip([ranked[0], ranked[len(ranked) // 2], ranked[-1]], places))


def picture_block(run, test, line, place):
    """A slider from the input to the output, else from the output to its reference, else the output alone."""
    values = ", ".join(number_with_unit(name, line[name]) for name in measures(test.metrics[line["row"]])[:3]
                       if finite(line.get(name)))
    rank = Both(f" ({place.en})", f"（{place.zh}）") if place else ""
    caption = join(code(line["item"]), f": {values}" if values else "", rank, between="")
    image = inside(test.folder, line["image"])
    alt = Both(f"{line['item']}: output of the run", f"{line['item']}：本次运行的输出")
    inputs = test.environment.get("inputs")                # {item: path}: recorded by the test, not judged
    source = inputs.get(line["item"]) if isinstance(inputs, dict) else None
    if isinstance(source, str) and (source := paths.ROOT / source).is_file():
        alt = join(alt, Both(" and its input", "与输入图"), between="")
        return Slider(source, image, caption, alt, (Both("input", "输入"), Both("output", "输出")))
    if reference := find_picture(run, test, line["reference"]):
        alt = join(alt, Both(" and its reference", "与参考图像"), between="")
        return Slider(image, reference, caption, alt, (Both("output", "输出"), Both("reference", "参考图像")))
    return Figure(image, caption, alt)


def find_picture(run, test, name):
    """A picture of the test data by its name below a root that environment.json or the case's file knows; else None."""
    used, usual = test.environment.get("paths"), flatten_settings(run_folder.settings_of(run.case))
    for known in (used if isinstance(used, dict) else {}, usual):
        for key in sorted(known, key=lambda key: (not key.endswith("test.root"), key)):
            if f".{key}".endswith(".root") and isinstance(known[key], str):
                path = inside(paths.ROOT / known[key], name)
                if path and path.suffix.lower() in IMAGE_SUFFIXES:         # of a sequence it is its file of boxes
                    return path
    return None


def inside(folder, name):
    """The file of this relative name below folder; None where it is missing or the name leads out of the folder."""
    if not name or leads_out(name):
        return None
    try:
        return folder / name if (folder / name).is_file() else None
    except (OSError, ValueError):                          # a name that no file can have
        return None


# ---- figures, settings, hardware -------------------------------------------------------------------------------------

def figures(run):
    """Every figure with its caption in both languages."""
    blocks = []
    for entry in run.figures:
        number = f"{entry['number']} " if entry.get("number") else ""
        caption = each(lambda text, number=number: (number + text).replace("`", "'"), both(entry["title"]))
        csv = inside(run.folder / "figures", entry.get("csv") or "")
        blocks.append(Figure(run.folder / "figures" / entry["file"], caption, both(entry["alt"]), csv, labelled=True))
    if not blocks:
        return []
    heading = Heading(3, Both("Figures", "插图"))
    if not any(run_folder.on_sample_data(run, test) for test in run.tests):
        return [heading, Gallery(blocks, "wide")]
    note = Both("Drawn on sample data.", "均在样例数据上绘制。")
    if run.name == paths.DEMO_RELEASE:
        note = Both("Drawn on sample data with the release weights; the training curve is that of the demo.",
                    "均用预训练权重在样例数据上绘制；训练曲线来自演示中的训练。")
    return [heading, Note(note), Gallery(blocks, "wide")]


def settings(run):
    """What differs from preset=paper, and all settings."""
    if not run.settings:
        return []
    blocks = [Heading(3, Both("Settings that differ from the paper", "与论文不同的设置"))]
    trained = (run.folder / "train" / "config.yaml").exists()
    differences = [line for line in run_folder.paper_differences(run.case, run.settings)
                   if trained or line[0].startswith("model.")]
    if not trained:
        text = Both("This run tested weights and did not train; only the network's settings can be compared here. How "
                    "released weights were made stands in `checkpoints/README.md`.",
                    "本次运行只测试权重，没有训练，此处只能比较网络的设置。"
                    "预训练权重的来历见 `checkpoints/README.md`。")
        blocks.append(Paragraph(text))
    if "paper" not in run_folder.presets_of(run.case):
        blocks.append(Paragraph(Both("The case has no `preset=paper` to compare with.",
                                     "该案例没有可供比较的 `preset=paper`。")))
    elif differences:
        header = [Both("setting", "设置"), Both("this run", "本次运行"),
                  Both("paper (preset=paper)", "论文（preset=paper）")]
        rows = [[key, *map(run_folder.format_typed, values)] for key, *values in differences]
        blocks.append(Table("", header, rows, sortable=False))
    else:
        blocks.append(Paragraph(Both("None: as in `preset=paper`.", "无：与 `preset=paper` 一致。")))
    readme = f"`cases/{run.case}/README.md`"
    blocks.append(Paragraph(Both(f"The reasons stand in {readme}.", f"原因见 {readme}。"), "muted"))
    everything = [Listing(to_yaml(run.settings).rstrip())]
    return [*blocks, Folded(Both("All settings of this run", "本次运行的全部设置"), everything)]


def hardware(run):
    """Device, time and memory of each part of the run."""
    of = ", release weights" if run.name == paths.DEMO_RELEASE else ""
    heading = Heading(3, Both(f"Hardware and time{of}", f"硬件与用时{'（预训练权重）' if of else ''}"))
    if not run.environment:
        return [heading,
                Paragraph(Both("The run's `environment.json` is missing.", "该运行缺少 `environment.json`。"))]
    header = [Both("part", "步骤"), Both("device", "设备"), Both("threads", "线程"), Both("processes", "进程"),
              Both("time", "用时"), Both("peak memory", "内存峰值")]
    rows = []
    for part, entry in run.environment.items():
        device = " · ".join(str(entry[key]) for key in ("device_name", "device") if entry.get(key))
        seconds, memory = entry.get("seconds"), entry.get("peak_memory_mb")
        rows.append([part, device or "–", str(entry.get("threads", "–")), str(entry.get("processes", "–")),
                     duration(seconds) if is_number(seconds) else "–",
                     f"{memory:.0f} MB" if is_number(memory) else "–"])
    blocks = [heading, Table("", header, rows, sortable=False)]
    last = list(run.environment.values())[-1]
    if isinstance(last.get("versions"), dict):
        versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
        blocks.append(Paragraph(code(f"{versions}; {last.get('platform', '')}"), "small"))
    lines = [f"{part}: {' '.join(map(str, entry['command']))}" for part, entry in run.environment.items()
             if isinstance(entry.get("command"), list)]
    if lines:
        blocks.append(Folded(Both("The commands of this run", "本次运行的命令"), [Listing("\n".join(lines))]))
    return blocks
