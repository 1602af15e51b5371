"""The report's tables: a run's means beside the published ones, a table per test set and protocol."""
import math
from collections import Counter
from itertools import chain

from common.metrics import metric_of
from common.report import run_folder
from common.report.blocks import Both, Folded, Heading, Note, Paragraph, Table, both, code, each, join

NETWORK = "network"                                        # the method of a row that is named after its protocol alone
PROTOCOLS = {
    "gt_free": Both("no use of the reference", "不使用参考图像"),
    "gt_mean": Both("mean gray scaled to the reference's", "按参考图像的平均灰度校正亮度"),
    "gt_ratio": Both("light ratio taken from the reference", "光照比率取自参考图像"),
}
ARROWS = {"higher": "↑", "lower": "↓", "two-sided": ""}
CLASSINGS = {                                              # others keep their English name
    "light": "亮度", "noise": "噪声", "scene": "场景", "overlap": "重叠率", "parallax": "视差", "rank": "名次",
    "seen": "是否参与训练", "style": "风格", "content": "内容"}


WEIGHTS = {"trained": Both("trained here", "本机训练"), "release": Both("release weights", "预训练权重")}


def numbers(run, about, release=None):
    """Blocks of all tables. run: RunFacts, or None where only the published numbers are known; release: of a demo."""
    published = [entry for entry in about.get("published") or [] if isinstance(entry, dict)]
    tests = run.tests if run else []
    others = {test.name: test for test in release.tests} if release else {}
    if not tests and not published:
        return []
    legend = Both("↑ higher is better, ↓ lower is better; no arrow: neither. n is the number of items in a mean. "
                  "What is not marked as published was measured here.",
                  "↑ 越高越好，↓ 越低越好，无箭头者无优劣之分；n 为参与平均的项数。未注明“已发表”的均为本机测得。")
    blocks, used = [Heading(3, Both("Numbers", "测试结果")), Paragraph(legend, "muted")], []
    if release:
        blocks.append(Paragraph(TWO_WEIGHTS))
    if run and not published:
        text = Both("No published numbers can be compared with these: see the case's README.",
                    "没有可与之比较的已发表数据，说明见该案例的 README。")
        blocks.append(Paragraph(text, "muted"))
    for test in tests:
        sample, other = run_folder.on_sample_data(run, test), others.get(test.name)
        blocks.append(Heading(4, set_title(test, sample)))
        if sample:
            blocks.append(SAMPLE_NOTE)
        shown = test._replace(metrics=with_both_weights(test.metrics, other.metrics)) if other else test
        for protocol in protocols(shown.metrics):
            beside = [entry for entry in published if not sample and entry.get("set") == test.name
                      and split(entry.get("row"), test.metrics)[1] == protocol]
            used += beside
            blocks += protocol_blocks(shown, protocol, beside, sample)
        blocks += failures(test) + (failures(other) if other else [])
    return blocks + published_alone([entry for entry in published if entry not in used], bool(tests))


def set_title(test, sample):
    """A test set as a heading."""
    title = Both(f"Test set {test.name}", f"测试集 {test.name}")
    return Both(f"{title.en} (sample data)", f"{title.zh}（样例数据）") if sample else title


SAMPLE = Both("sample data", "样例数据")
SAMPLE_NOTE = Note(Both(
    "Sample data: small made-up sets, so that everything can be seen to work. These numbers say nothing about the "
    "method and stand in no table with published ones.",
    "样例数据：自制的小数据集，只用来说明流程可用。"
    "这些数字不能说明方法的优劣，也不与已发表的数据列在同一张表里。"))
TWO_WEIGHTS = Both(
    "Two sets of weights on the same data: those that the demo has trained in seconds, which shows that training "
    "works, and the release. A row that is the same for both stands once.",
    "同一数据上的两组权重：演示中训练数十秒所得（说明训练流程可用），以及预训练权重。两者相同的行只列一次。")


def with_both_weights(trained, release):
    """The rows of two tests of the same data by two sets of weights; a row that is the same in both once, by its name,
    any other as `method@trained` and `method@release`."""
    rows = {}
    for row in [*trained, *(row for row in release if row not in trained)]:
        method, protocol = split(row, trained | release)
        if row in trained and trained[row] == release.get(row):
            rows[row] = trained[row]
            continue
        for weights, metrics in (("trained", trained), ("release", release)):
            if row in metrics:
                rows[f"{method}@{weights}" + (f"/{protocol}" if protocol else "")] = metrics[row]
    return rows


def method_name(method):
    """A row's method as it is shown: with both weights, by which of them."""
    name, _, weights = method.rpartition("@")
    if weights not in WEIGHTS:
        return method
    return Both(f"{name} ({WEIGHTS[weights].en})", f"{name}（{WEIGHTS[weights].zh}）")


def split(row, rows):
    """(method, protocol) of a row's name (`gt_free`, `sift`, `gamma/gt_free`) among those of all rows; "" for none."""
    method, slash, protocol = str(row or "").rpartition("/")
    if slash:
        return method, protocol
    if protocol in PROTOCOLS or any(other.endswith("/" + protocol) for other in rows):
        return NETWORK, protocol
    return protocol, ""


def protocols(rows):
    """The protocols of the rows, in their order."""
    return list(dict.fromkeys(split(row, rows)[1] for row in rows))


def measures(values):
    """The names of the metrics in a row of metrics.json, in their order."""
    return [name for name in values if name not in ("count", "by", "left_out")]


def metric_names(rows):
    """The names of the metrics in rows of metrics.json, each once, in the order in which they come."""
    return list(dict.fromkeys(chain.from_iterable(map(measures, rows))))


def published_metrics(entry):
    return entry.get("metrics") or {}


def finite(value):
    """Whether a value of metrics.json or items.csv (text) is a finite number."""
    try:
        return value is not None and math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def number(name, value):
    """A value of a metric with its digits; a dash where there is none."""
    return f"{float(value):.{metric_of(name).digits}f}" if finite(value) else "–"


def digits(values, names):
    """The values of these metrics in a row of metrics.json, each with its digits."""
    return [number(name, values.get(name)) for name in names]


def number_with_unit(name, value):
    return f"{name} {number(name, value)} {metric_of(name).unit}".rstrip()


def heading_of(name, said=str, gap="\u00a0"):
    """A metric as the heading of a column: `psnr ↑ (dB)`. said: how its name is written; gap: before the arrow."""
    metric = metric_of(name)
    return f"{said(name)}{gap}{ARROWS[metric.direction]}".rstrip() + (f" ({metric.unit})" if metric.unit else "")


def protocol_name(protocol):
    """A protocol with what it means; "" for none."""
    meaning = PROTOCOLS.get(protocol)
    suffix = Both(f" ({meaning.en})", f"（{meaning.zh}）") if meaning else ""
    return protocol and join(Both("protocol ", "协议 "), code(protocol), suffix, between="")


def protocol_blocks(test, protocol, published, sample=False):
    """The table of one protocol of one test set, the published rows among it, and the classes behind a click."""
    named = [(*split(row, test.metrics), values) for row, values in test.metrics.items()]
    rows = {method: values for method, under, values in named if under == protocol}
    every = metric_names([*rows.values(), *map(published_metrics, published)])
    alone = lonely(rows, every)
    names = [name for name in every if name not in alone]
    ours = [[method_name(method), str(values["count"]), *digits(values, names)] for method, values in rows.items()]
    own = [place for place, method in enumerate(rows) if method.partition("@")[0] == NETWORK]
    at = own[-1] + 1 if own else 0                                         # published rows stand below the network's
    lines = ours[:at] + [published_line(entry, names) for entry in published] + ours[at:]
    counts = sorted({values["count"] for values in rows.values()})
    count = "–".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    parts = code(test.name), protocol_name(protocol), Both(f"{count} items", f"{count} 项")
    caption = join(*filter(None, (SAMPLE if sample else "", *parts)), between=" · ")
    header = [Both("method", "方法"), "n", *map(heading_of, names)]
    blocks = [Table(caption, header, lines, strong=tuple(own))]
    for method, values in rows.items():
        text = ", ".join(number_with_unit(name, values[name]) for name in alone if name in values)
        if text:
            blocks.append(Paragraph(join(method_name(method), f": {text}", between=""), "muted small"))
    return blocks + remarks(rows, published) + classes(rows, names)


def lonely(rows, names):
    """Metrics of a single method of several, such as what is measured on the input: nothing is there to compare."""
    shared = Counter(chain.from_iterable(rows.values()))
    return [name for name in names if len(rows) > 1 and shared[name] == 1 and metric_of(name).direction == "two-sided"]


def published_line(entry, names):
    """A row of published numbers, marked as such, with the source."""
    return [marked_published(entry), str(entry.get("count", "–")), *digits(published_metrics(entry), names)]


def marked_published(entry):
    """The method of published numbers with their source."""
    source = entry.get("source")
    words = Both(f" (published: {source})", f"（已发表：{source}）") if source else Both(" (published)", "（已发表）")
    return join(both(entry.get("method", "–")), words, between="")


def remarks(rows, published):
    """What must be known beside a table: notes on published rows, values that a mean leaves out."""
    blocks = [Paragraph(join(both(entry.get("method", "–")), both(entry["note"]), between=": "), "muted small")
              for entry in published if entry.get("note")]
    for method, values in rows.items():
        left_out = values.get("left_out")
        if isinstance(left_out, dict) and left_out:
            counts = ", ".join(f"{name} {count}" for name, count in left_out.items())
            text = Both(": values that are missing or infinite are left out of the means: {counts}.",
                        "：缺失或无穷的数值不参与平均：{counts}。")
            said = each(lambda words, counts=counts: words.format(counts=counts), text)
            blocks.append(Paragraph(join(each(code, method_name(method)), said, between=""), "muted small"))
    return blocks


def classes(rows, names):
    """The means by class of every method, behind a click; [] where the test has no classes."""
    found = {}                                             # {classing: {class: lines}}
    for method, values in rows.items():
        for classing, inner in values.get("by", {}).items():
            for label, means in inner.items():
                line = [label, method_name(method), str(means["count"]), *digits(means, names)]
                found.setdefault(classing, {}).setdefault(label, []).append(line)
    words = {classing: CLASSINGS.get(classing, classing) for classing in found}
    tables = [Table("", [Both(classing, words[classing]), Both("method", "方法"), "n", *map(heading_of, names)],
                    list(chain(*lines.values())))
              for classing, lines in found.items()]
    summary = Both(f"By class: {', '.join(found)}", f"分类结果：{'、'.join(words.values())}")
    return [Folded(summary, tables)] if tables else []


def failures(test):
    """A note on items that could not be done."""
    failed = {line["item"]: line.get("reason", "") for line in test.items if line["status"] != "ok"}
    if not failed:
        return []
    some = "; ".join(f"{item}: {reason}" for item, reason in list(failed.items())[:5])
    total = len({line["item"] for line in test.items})
    text = Both(f"{len(failed)} of {total} items failed and are in no mean: {code(some)}",
                f"{total} 项中有 {len(failed)} 项失败，不参与平均：{code(some)}")
    return [Note(text, kind="bad")]


def published_alone(published, tested):
    """Published numbers of test sets or protocols that this run has not measured."""
    if not published:
        return []
    names = metric_names(map(published_metrics, published))
    lines = []
    for entry in published:
        method, *rest = published_line(entry, names)
        lines.append([method, str(entry.get("set") or "–"), str(entry.get("row") or "–"), *rest])
    header = [Both("method", "方法"), Both("test set", "测试集"), Both("row", "行（协议或方法）"), "n",
              *map(heading_of, names)]
    title = Both("Published", "已发表的数据")
    if tested:
        title = Both("Published, not measured in this run", "已发表、本次未测")
    return [Heading(4, title), Table("", header, lines), *remarks({}, published)]
