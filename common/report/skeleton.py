"""The report that the course asks of a student for a case, as Markdown.

The run's own figures, settings and numbers are filled in; the analysis is left empty, with questions made of the
numbers. Nothing here knows a case: all comes from the configuration, the results and the source.
"""
import re
from pathlib import Path

from common.base import paths
from common.base.errors import UserError
from common.base.files import write_whole
from common.base.progress import duration
from common.base.targets import expect_targets
from common.experiment.results import is_number
from common.experiment.settings import WORD, flatten_settings
from common.metrics import metric_of
from common.report import run_folder
from common.report.markdown import address, code, path_link, prose
from common.report.skeleton_questions import main_row, published, questions
from common.report.skeleton_source import describe, source_files
from common.report.skeleton_text import LANGUAGES, Sheet
from common.report.tables import PROTOCOLS, digits, heading_of, measures, metric_names, number, split


def write(case, name=None, language="zh", out=None, force=False):
    """Write the skeleton of a case's report and return its path.

    name: the run; without it the one that the report shows; a case without any run has the sections all the same.
    language: zh or en.
    out: the file, results/<case>/<run>/skeleton.<language>.md where it is None; figures are linked relative to it.
    Raises UserError for a file that exists, since a student may have written in it, unless force is true.
    """
    if case not in paths.all_cases():
        raise UserError(f"there is no case {case!r}: expected one of {', '.join(paths.all_cases())}")
    if language not in LANGUAGES:
        raise UserError(f"unknown language {language!r}: expected one of {', '.join(LANGUAGES)}")
    run = run_folder.choose_run(case, name)
    if run is None:
        run = run_folder.RunFacts(case, "default", run_folder.results_folder(case) / "default", {}, [], [], [], {}, {})
    # settings of a test: those of a training are not what its weights had
    if not (run.folder / "train" / "config.yaml").exists():
        run = run._replace(settings={key: value for key, value in run.settings.items() if key != "train"})
    path = Path(out) if out is not None else run.folder / f"skeleton.{language}.md"
    if path.is_dir():
        raise UserError(f"{path} is a folder: a file to write was expected: for example {path / case}.{language}.md")
    if path.exists() and not force:
        raise UserError(f"{path} exists, and something may have been written in it: a new file was expected: "
                        "choose another with --out, or give --force to lose what it holds")
    expect_targets([path], [run.folder / "figures", run.folder / "test", run.folder / "train"], "--out")
    sheet = Sheet(run, language, path.parent)
    for section in (head, background, principle, source, environment, settings, data, training, results, figures,
                    analysis, extension, ending):
        section(sheet, run)
    write_whole(path, ("\n".join(sheet.lines) + "\n").encode())
    return path


def command(script, run):
    """The command that makes a part of a run, as code."""
    return code(run_folder.command(run.case, script, run.name))


# ---- the sections, in their order ------------------------------------------------------------------------------------

def head(sheet, run):
    say, about = sheet.say, sheet.about
    found = (re.match(r"[A-Z]\d+", str(entry.get("number") or "")) for entry in run.figures)
    chapter = next((say("brackets", text=number[0]) for number in found if number), "")
    sheet.heading(1, "title", title=prose(about.get("title", run.case)))
    sheet.table(say("head"), ["item", "content"], [
        [say("course"), say("course_name")], [say("case"), code(run.case) + chapter], [say("paper"), cite(about)],
        [say("run"), code(f"results/{run.case}/{run.name}")], [say("kind"), say("kinds")],
        [say("student"), ""], [say("number"), ""], [say("date"), ""]])
    sheet.add(say("how", todo=say("todo")))


def cite(about):
    """The paper as a list of references has it; empty where the configuration names none."""
    values = [about[key] for key in ("authors", "title", "year") if about.get(key)]
    return ". ".join(prose(", ".join(map(str, value)) if isinstance(value, list) else value) for value in values)


def background(sheet, run):
    sheet.heading(2, "background")
    sheet.add(sheet.say("idea", idea=prose(told(sheet, sheet.about.get("idea")) or sheet.say("none"))))
    sheet.ask(*sheet.say("ask_background"))


def told(sheet, text):
    """A text of the case's file in the sheet's language; it is {"en", "zh"} or one language."""
    return text.get(sheet.language) if isinstance(text, dict) else text


def network_figure(run):
    """The entry of the network's or the flow's figure: the chapter's first (B1.1), else one called so; else None."""
    first = [entry for entry in run.figures if re.search(r"(?<!\d)\d+\.1$", str(entry.get("number") or ""))]
    called = [entry for entry in run.figures if re.search(r"network|pipeline|flow", entry["file"])]
    return next(iter(first + called), None)


def principle(sheet, run):
    sheet.heading(2, "principle")
    entry = network_figure(run)
    if entry:
        sheet.figure(entry, run.folder)
    else:
        sheet.add(sheet.say("no_network", command=command("figures", run)))
    asked = list(sheet.say("ask_principle"))
    model = run.settings.get("model") or sheet.defaults.get("model")
    if isinstance(model, dict) and model:
        asked.append(sheet.say("ask_model", settings=sheet.join(typed_settings(model))))
    sheet.ask(*asked)


def typed_settings(values, other_than=None):
    """Settings as one types them, as code; other_than: without those that are the same in this flat dictionary."""
    return [code(f"{key}={run_folder.format_typed(value)}") for key, value in flatten_settings(values).items()
            if other_than is None or other_than.get(key) != value]


def source(sheet, run):
    folder = paths.ROOT / "cases" / run.case
    sheet.heading(2, "source")
    sheet.add(sheet.say("source_said", folder=path_link(f"cases/{run.case}", sheet.to(folder)), config=sheet.config))
    rows = [[code(file.relative_to(folder).as_posix()), *cells, ""] for file in source_files(folder)
            for cells in describe(sheet.say, file)]
    sheet.table(sheet.say("source_table"), ["file", "name", "docstring", "mine"], rows)
    sheet.ask(*sheet.say("ask_source"))


def environment(sheet, run):
    sheet.heading(2, "experiments")
    sheet.heading(3, "environment")
    if not run.environment:
        sheet.add(sheet.say("no_environment"))
        return
    versions = {}
    for part in run.environment.values():
        for name, version in mapping(part, "versions").items():
            versions.setdefault(name, []).append(str(version))
    sheet.table(sheet.say("versions"), ["software", "version"],
                [[prose(name), prose(", ".join(dict.fromkeys(there)))] for name, there in versions.items()])
    rows = []
    for name, part in run.environment.items():
        typed = " ".join(typed_words(part))
        device = " ".join(dict.fromkeys(str(part[key]) for key in ("device", "device_name") if part.get(key)))
        seconds = part.get("seconds")
        rows.append([code(name), prose(device), prose(part.get("threads")),
                     duration(seconds) if isinstance(seconds, (int, float)) else "–",
                     prose(part.get("peak_memory_mb")), code(typed and f"python cases/{run.case}/{typed}")])
    sheet.table(sheet.say("parts"), ["part", "device", "threads", "time", "memory", "command"], rows)


def mapping(part, key):
    """A mapping in environment.json; {} for anything else: nothing is judged by that file, so nothing is said of it."""
    return part[key] if isinstance(part.get(key), dict) else {}


def typed_words(part):
    """The words of a part's command, of paths only the last part: the report is handed in."""
    return [str(word) for word in paths.without_paths(part["command"])] if isinstance(part.get("command"), list) else []


def settings(sheet, run):
    sheet.heading(3, "settings")
    if not run.settings:
        sheet.add(sheet.say("no_settings"))
        return
    paper = {key: theirs for key, _, theirs in run_folder.paper_differences(run.case, run.settings)}
    defaults = flatten_settings(sheet.defaults)
    sheet.add(sheet.say("settings_said" if "paper" in sheet.presets else "settings_said_plain", config=sheet.config))
    if "train" not in run.settings:
        sheet.add(sheet.say("not_trained"))
    rows = []
    for key, value in flatten_settings(run.settings).items():
        own = key in defaults and defaults[key] != value
        ours, usual, theirs = (code(run_folder.format_typed(values[key])) if key in values else ""
                               for values in ({key: value}, defaults, paper))
        rows.append([code(key), f"**{ours}**" if own else ours, usual if own else "", theirs])
    sheet.table(sheet.say("settings_table", run=code(run.name)), ["setting", "ours", "default", "of_paper"], rows)


def data(sheet, run):
    sheet.heading(3, "data")
    if not run.tests:
        sheet.add(sheet.say("no_test", command=command("test", run)))
    ours, rows, protocols, failures = flatten_settings(run.settings), [], {}, []
    for test in run.tests:
        used = dict.fromkeys(protocol for row in test.metrics if (protocol := split(row, test.metrics)[1]))
        protocols |= used
        items = {line["item"] for line in test.items}
        failed = {line["item"]: failure(sheet, line) for line in test.items if line["status"] != "ok"}
        if failed:
            more = [sheet.say("more", count=len(failed) - 10)] if len(failed) > 10 else []
            some = sheet.join([*failed.values()][:10] + more)
            failures.append(sheet.say("failures", set=code(test.name), items=some))
        there = {key: value for key, value in test.settings.items() if key != "train" or key in run.settings}
        rows.append([code(test.name), code(material(test)) or "–", code(weights(run, test)) or "–", str(len(items)),
                     str(len(failed)), sheet.join(map(code, used)), sheet.join(typed_settings(there, ours))])
    if rows:
        sheet.table(sheet.say("data_table"), ["set", "root", "weights", "count", "failed", "protocols",
                                              "other_settings"], rows)
    known = [f"- {code(name)}{sheet.say('colon')}{getattr(PROTOCOLS[name], sheet.language)}" for name in protocols
             if name in PROTOCOLS]
    if known:
        sheet.add(*known)
    for text in failures:
        sheet.add(text)
    sheet.ask(*sheet.say("ask_data"))


def failure(sheet, line):
    """An item that failed, with its reason; of paths only the last part."""
    return code(line["item"]) + sheet.say("brackets", text=prose(paths.without_paths(line.get("reason") or "")))


def weights(run, test):
    """The weights that a test used: their file, and the beginning of their digest."""
    file, digest = test.environment.get("weights"), run.weights.get(f"test/{test.name}")
    return " ".join([paths.without_paths(file)] * isinstance(file, str) + [digest[:12]] * isinstance(digest, str))


def material(test):
    """What was tested on: the words of --input, else the root of the test set; of paths only the last part."""
    typed = typed_words(test.environment)
    if "--input" in typed:
        after = typed[typed.index("--input") + 1:]
        end = next((place for place, word in enumerate(after) if word.startswith("--") or WORD.match(word)), len(after))
        return " ".join(["--input", *after[:end]])
    roots = mapping(test.environment, "paths")
    return next((f"{key}={paths.without_paths(roots[key])}" for key in ("test.root", "data.root")
                 if isinstance(roots.get(key), str)), "")


def training(sheet, run):
    sheet.heading(3, "training")
    if not run.log:
        sheet.add(sheet.say("no_training", command=command("train", run)))
        return
    curves = {}
    for line in run.log:
        for name, value in line.items():
            if name != "step" and is_number(value):
                curves.setdefault((line["stage"], name), []).append((value, line["step"]))
    rows = []
    for (stage, name), points in curves.items():
        three = points[0], points[-1], best_of(name, points)
        rows.append([code(stage), code(name), *(f"{point[0]:.6g} ({point[1]})" if point else "–" for point in three)])
    sheet.table(sheet.say("curve_table"), ["stage", "quantity", "first", "last", "best"], rows)
    sheet.add(sheet.say("curve_said"))


def best_of(name, points):
    """The first best of (value, step) points: of val_... by its direction, None without one; else the least."""
    direction = metric_of(name.removeprefix("val_")).direction if name.startswith("val_") else "lower"
    if direction == "two-sided":
        return None
    return (min if direction == "lower" else max)(points, key=lambda point: point[0])


def results(sheet, run):
    say = sheet.say
    sheet.heading(3, "results")
    if not run.tests:
        sheet.add(say("no_test", command=command("test", run)))
    for place, test in enumerate(run.tests, 1):
        sheet.heading(4, "results_of", number=place, set=code(test.name))
        result_table(sheet, test)
        class_table(sheet, test)
    for name in run_folder.find_unfinished_tests(run.case, run.name):
        sheet.add(say("unfinished", set=code(name), command=command("test", run)))
    tested = {test.name for test in run.tests}
    rows = [[prose(entry.get("method")), code(entry["set"]), code(entry.get("row") or ""), values_of(sheet, entry),
             credit(sheet, entry)] for entry in published(sheet.about) if entry["set"] not in tested]
    if rows:
        sheet.table(say("published_table"), ["method", "set", "protocol", "metrics", "from"], rows)
    if not published(sheet.about):
        sheet.add(say("no_published"))


def values_of(sheet, entry):
    return sheet.join(f"{code(name)} {prose(value)}" for name, value in entry["metrics"].items())


def credit(sheet, entry):
    """Where a published number comes from."""
    return sheet.say("comma").join(prose(told(sheet, entry[key])) for key in ("source", "note")
                                 if entry.get(key)) or "–"


def result_table(sheet, test):
    """Every row of a test, then what was published for this set."""
    theirs = [entry for entry in published(sheet.about) if entry["set"] == test.name]
    names = metric_names([*test.metrics.values(), *(entry["metrics"] for entry in theirs)])
    rows, left_out = [], []
    for row, values in test.metrics.items():
        method, protocol = split(row, test.metrics)
        out = values.get("left_out") if isinstance(values.get("left_out"), dict) else {}
        left_out += [f"{code(row)} {code(name)} {count}" for name, count in out.items()]
        cells = [number(name, values.get(name)) + ("\\*" if name in out else "") for name in names]
        rows.append([code(method), code(protocol) or "–", str(values["count"]), *cells, sheet.say("ours")])
    for entry in theirs:
        protocol = split(str(entry.get("row") or ""), test.metrics)[1]
        rows.append([prose(entry.get("method")), code(protocol) or "–", prose(entry.get("count", "–")),
                     *digits(entry["metrics"], names), credit(sheet, entry)])
    header = ["method", "protocol", "count", *(heading_of(name, code, " ") for name in names), "from"]
    sheet.table(sheet.say("results_table", set=code(test.name)), header, rows)
    if left_out:
        sheet.add(sheet.say("left_out", names=sheet.join(left_out)))


def class_table(sheet, test):
    """The main row by the classes of its items, in its first three metrics; nothing where there are no classes."""
    row = main_row(test)
    by = test.metrics[row].get("by", {}) if row is not None else {}
    if by:
        names = measures(test.metrics[row])[:3]
        method, protocol = split(row, test.metrics)
        rows = [[code(classing), code(name), str(values["count"]), *digits(values, names)]
                for classing, classes in by.items() for name, values in classes.items()]
        title = sheet.say("classes_table", set=code(test.name), method=code(method), protocol=code(protocol) or "–")
        sheet.table(title, ["classing", "class", "count", *(heading_of(name, code, " ") for name in names)], rows)


def figures(sheet, run):
    sheet.heading(3, "figures")
    if not run.figures:
        sheet.add(sheet.say("no_figures", command=command("figures", run)))
    for entry in run.figures:
        if entry is not network_figure(run):
            sheet.figure(entry, run.folder)


def analysis(sheet, run):
    sheet.heading(2, "analysis")
    sheet.add(sheet.say("analysis_said"))
    for place, question in enumerate([*questions(sheet, run), *sheet.say("q_general")], 1):
        sheet.add(f"**5.{place}** {question}")
        sheet.todo()


def extension(sheet, run):
    readme = "README.zh-CN.md" if sheet.language == "zh" else "README.md"
    sheet.heading(2, "extension")
    path = f"cases/{run.case}/{readme}"
    sheet.add(sheet.say("extension_said", readme=path_link(path, sheet.to(paths.ROOT / path))))
    rows = []
    for preset in sheet.presets:
        changed = typed_settings(run_folder.settings_of(run.case, preset), flatten_settings(sheet.defaults))
        typed = code(f"python cases/{run.case}/train.py preset={preset} --name {preset}")
        rows.append([code(preset), sheet.join(changed), typed, ""])
    if rows:
        sheet.table(sheet.say("presets_table"), ["preset", "changes", "command", "my_result"], rows)
    others = [name for name in run_folder.run_names(run.case) if name != run.name]
    if others:
        sheet.add(sheet.say("other_runs", runs=sheet.join(map(code, others))))
    own = [code(test.name) for test in run.tests if "--input" in typed_words(test.environment)]
    if own:
        sheet.add(sheet.say("own_material", sets=sheet.join(own)))
    sheet.ask(*sheet.say("ask_extension"))


def ending(sheet, run):
    sheet.heading(2, "conclusion")
    sheet.ask(*sheet.say("ask_conclusion"))
    sheet.heading(2, "references")
    about = sheet.about
    links = about.get("links") if isinstance(about.get("links"), dict) else {}
    sources = ([cite(about) + "".join(f". {prose(name)}: {address(url)}" for name, url in links.items())]
               if cite(about) else [])
    sources += dict.fromkeys(prose(entry["source"]) for entry in published(about) if entry.get("source"))
    sheet.add(*(f"{place}. {source}" for place, source in enumerate(sources, 1)) if sources
              else [sheet.say("no_reference")])
    sheet.add(sheet.say("more_references"))
    sheet.todo()
