"""The questions that a run's numbers raise: section 5 of the skeleton (common/report/skeleton.py)."""
from common.experiment.results import is_number
from common.metrics import metric_of
from common.report import run_folder
from common.report.markdown import code, path_link
from common.report.skeleton_text import TEXT
from common.report.tables import NETWORK, finite, measures, number, split

# ---- rows and metrics ----

def main_row(test):
    """The row of a test that is about the paper's method: the network's first, else the first; None without any."""
    rows = list(test.metrics)
    return next((row for row in rows if split(row, rows)[0] == NETWORK), rows[0] if rows else None)


def first_metric(values):
    """The first metric of a row that has a good side and a value; None where there is none."""
    return next((name for name in measures(values)
                 if metric_of(name).direction != "two-sided" and values[name] is not None), None)


def with_unit(say, name, value):
    """A metric's value with its unit, which has a name in this language."""
    unit = metric_of(name).unit
    return f"{number(name, value)} {say(f'unit_{unit}') if f'unit_{unit}' in TEXT else unit}".rstrip()


def from_worst(pairs, metric):
    """(value, anything) pairs sorted from the metric's worst value to its best."""
    return sorted(pairs, key=lambda pair: -pair[0] if metric_of(metric).direction == "lower" else pair[0])


# ---- questions ----

def questions(sheet, run):
    """The questions as Markdown. The test with the most rows, which has the baselines, is asked about in detail."""
    say = sheet.say
    tests = sorted((test for test in run.tests if test.metrics), key=lambda test: -len(test.metrics))
    asked = []
    for test in tests:
        row = main_row(test)
        metric = first_metric(test.metrics[row])
        if metric:
            asked += of_items(sheet, test, row, metric)
            for more in (of_baseline, of_classes, of_protocols) if test is tests[0] else ():
                asked += more(say, test, row, metric)
        failed = {line["item"] for line in test.items if line["status"] != "ok"}
        if failed:
            asked.append(say("q_failed", set=code(test.name), count=len(failed)))
    asked += of_sets(sheet, run, tests) + of_curve(say, run)
    for test in tests:
        asked += of_published(sheet, test)
    paper = run_folder.paper_differences(run.case, run.settings)
    if paper:
        keys = sheet.join(code(key) for key, _, _ in paper[:6]) + (" …" if len(paper) > 6 else "")
        asked.append(say("q_paper", count=len(paper), keys=keys))
    return asked


def row_words(sheet, row, rows):
    """A row's method, and its protocol where it has one."""
    return sheet.say("comma").join(code(part) for part in split(row, rows) if part)


def of_items(sheet, test, row, metric):
    """The worst and the best item of a row."""
    say = sheet.say
    lines = [line for line in test.items if line["row"] == row and line["status"] == "ok"]
    ranked = from_worst([(float(line[metric]), line) for line in lines if finite(line.get(metric))], metric)
    if len(ranked) < 2 or ranked[0][0] == ranked[-1][0]:
        return []

    def describe(value, line):
        path = test.folder / line["image"] if line["image"] else None
        link = say("comma") + path_link(say("output"), sheet.to(path)) if path and path.is_file() else ""
        return with_unit(say, metric, value) + link
    (low, worst), (high, best) = ranked[0], ranked[-1]
    return [say("q_items", set=code(test.name), row=row_words(sheet, row, test.metrics), metric=code(metric),
                worst=code(worst["item"]), low=describe(low, worst), best=code(best["item"]), high=describe(high, best),
                what=say("with_target" if worst["reference"] else "without_target"))]


def of_baseline(say, test, row, metric):
    """The simple method closest under the same protocol; a filter behind the network (network_...) is not one."""
    method, protocol = split(row, test.metrics)
    ours, near = test.metrics[row][metric], []
    for other, values in test.metrics.items():
        name, under = split(other, test.metrics)
        if under == protocol and name != method and not name.startswith(NETWORK) and values.get(metric) is not None:
            near.append((abs(values[metric] - ours), name, values[metric]))
    if not near:
        return []
    _, name, theirs = min(near)
    ahead = from_worst([(ours, 0), (theirs, 1)], metric)[-1][1] == 1
    return [say("q_ahead" if ahead else "q_baseline", set=code(test.name), method=code(name), network=code(method),
                metric=code(metric), theirs=with_unit(say, metric, theirs), ours=with_unit(say, metric, ours),
                protocol=code(protocol) or "–", count=test.metrics[row]["count"])]


def of_classes(say, test, row, metric):
    """The weakest class of each classing that has at least two."""
    asked = []
    for classing, classes in test.metrics[row].get("by", {}).items():
        ranked = from_worst([(values[metric], name) for name, values in classes.items()
                             if values.get(metric) is not None], metric)
        if len(ranked) > 1:
            (low, worst), (high, best) = ranked[0], ranked[-1]
            asked.append(say("q_class", set=code(test.name), classing=code(classing), metric=code(metric),
                             worst=code(worst), low=with_unit(say, metric, low),
                             best=code(best), high=with_unit(say, metric, high),
                             worst_count=classes[worst]["count"], best_count=classes[best]["count"]))
    return asked


def of_protocols(say, test, row, metric):
    """The same method under several protocols."""
    method = split(row, test.metrics)[0]
    found = []
    for other, values in test.metrics.items():
        name, protocol = split(other, test.metrics)
        if name == method and protocol and values.get(metric) is not None:
            found.append(f"{code(protocol)} {with_unit(say, metric, values[metric])}")
    if len(found) < 2:
        return []
    return [say("q_protocols", set=code(test.name), network=code(method), metric=code(metric),
                values=say("and").join(found))]


def of_sets(sheet, run, tests):
    """The same weights and row on several sets."""
    groups = {}
    for test in tests:
        row, digest = main_row(test), run.weights.get(f"test/{test.name}")
        metric = first_metric(test.metrics[row])
        if metric and digest:
            groups.setdefault((row, metric, digest), []).append(test)
    asked, say = [], sheet.say
    for (row, metric, _), members in groups.items():
        if len(members) > 1:
            values = sheet.join(f"{code(test.name)} {with_unit(say, metric, test.metrics[row][metric])}"
                                for test in members)
            asked.append(say("q_sets", metric=code(metric), values=values,
                             row=row_words(sheet, row, members[0].metrics)))
    return asked


def of_curve(say, run):
    """When the validation that chooses the weights was best, in the last stage that has one."""
    found = [(line["stage"], name) for line in reversed(run.log) for name in line if name.startswith("val_")]
    if not found:
        return []
    stage, name = found[0]
    metric = name.removeprefix("val_")
    ranked = from_worst([(line[name], -line["step"]) for line in run.log
                         if line["stage"] == stage and is_number(line.get(name))], metric)
    if not ranked or metric_of(metric).direction == "two-sided":
        return []
    value, step = ranked[-1]
    total = max(line["step"] for line in run.log if line["stage"] == stage)
    return [say("q_curve", name=code(name), step=-step, total=total, value=with_unit(say, metric, value))]


def published(about):
    """The entries of about.published that name a set and metrics."""
    entries = about.get("published")
    return [entry for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict) and entry.get("set") and isinstance(entry.get("metrics"), dict)]


def of_published(sheet, test):
    """Published numbers for the same set and row as ours."""
    asked, say = [], sheet.say
    for entry in published(sheet.about):
        row = entry.get("row")
        metric = next((name for name in entry["metrics"] if test.metrics.get(row, {}).get(name) is not None), None)
        if entry["set"] == test.name and metric and is_number(entry["metrics"][metric]):
            asked.append(say("q_published", method=code(entry.get("method") or row), set=code(test.name),
                             metric=code(metric), theirs=with_unit(say, metric, entry["metrics"][metric]),
                             ours=with_unit(say, metric, test.metrics[row][metric]),
                             row=row_words(sheet, row, test.metrics)))
    return asked
