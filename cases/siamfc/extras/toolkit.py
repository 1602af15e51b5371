"""The got10k toolkit's own experiments on our tracker and our reader: test.toolkit=got10k | otb | vot, from test.py.

Its loop tracks, its report evaluates; ours stands beside it. The toolkit's data sets download what they miss, cut
frames out by hard-coded names and know no other sequences, so its experiments get ours instead, which is why they are
made without their constructors.
"""
import shutil

import matplotlib
import numpy as np

from cases.siamfc.baselines.trackers import tracker_of
from cases.siamfc.sequences import measure, overlaps
from common.base.errors import UserError
from common.experiment.results import write_json

NAME = "SiamFC"


class ToolkitData:
    """A SequenceFolder as the toolkit's data sets look: len(), names, [place or name] -> (files, boxes[, meta])."""

    def __init__(self, folder):
        self.folder, self.return_meta = folder, False

    @property
    def seq_names(self):
        return self.folder.names

    def __len__(self):
        return len(self.folder)

    def __getitem__(self, place):
        sequence = self.folder[place]
        meta = {"cover": sequence.cover, "absence": sequence.absent, "resolution": str(tuple(sequence.frame_size))}
        return [str(path) for path in sequence.frames], sequence.boxes, *([meta] if self.return_meta else [])

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))


def run_toolkit(run, network, weights, folder):
    """Run and report one experiment in results/siamfc/<run>/toolkit/<kind>/<set>/, always from the start: the toolkit
    would take over results that other weights have left. Writes comparison.json; says both sides in lines."""
    kind = run.config.test.toolkit
    place = run.folder / "toolkit" / kind / folder.set_name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    matplotlib.use("Agg")
    with matplotlib.rc_context():                             # the toolkit changes them for everyone
        experiment = make_experiment(kind, folder, place)
        experiment.run(tracker_of(run, network, name=NAME))
        theirs = {} if kind == "vot" else experiment.report([NAME])[NAME]
    comparison = compare(kind, folder, place, theirs)
    write_json(place / "comparison.json", comparison)
    run.record(f"toolkit/{kind}/{folder.set_name}", paths=run.machine(), weights=str(weights.path))
    for name, values in comparison["overall"].items():
        run.say(f"{name}: " + ", ".join(f"{side} {value:.6f}" for side, value in values.items()))
    run.say(f"the toolkit's results and report, and comparison.json: {place}")


def make_experiment(kind, folder, place):
    """The toolkit's experiment on a folder's sequences, with its results and reports below place."""
    try:
        from got10k import experiments
    except ImportError as problem:
        raise UserError(f"the got10k toolkit cannot be imported: {problem}: it was expected for test.toolkit: "
                        "python -m pip install got10k six") from None
    kinds = {"got10k": experiments.ExperimentGOT10k, "otb": experiments.ExperimentOTB, "vot": experiments.ExperimentVOT}
    experiment = kinds[kind].__new__(kinds[kind])
    experiment.dataset = ToolkitData(folder)
    experiment.result_dir, experiment.report_dir = str(place / "results"), str(place / "reports")
    settings = {"got10k": {"subset": "val", "nbins_iou": 101, "repetitions": 3},
                "otb": {"nbins_iou": 21, "nbins_ce": 51},
                "vot": {"experiments": ("unsupervised",), "read_image": True}}
    vars(experiment).update(settings[kind])
    experiment.dataset.return_meta = kind == "vot"
    return experiment


def read_records(kind, place, sequence):
    """The boxes (N, 4) that the toolkit has recorded; the first is the one that was given."""
    files = {"got10k": f"{sequence.name}/{sequence.name}_001.txt", "otb": f"{sequence.name}.txt",
             "vot": f"unsupervised/{sequence.name}/{sequence.name}_001.txt"}
    lines = (place / "results" / NAME / files[kind]).read_text(encoding="utf-8").splitlines()
    rows = [[float(word) for word in line.split(",")] for line in lines]
    return np.array([sequence.boxes[0], *rows[1:]])


def compare(kind, folder, place, theirs):
    """{overall: {metric: {toolkit, ours}}, sequences: {name: the same}}: ours is measured on the toolkit's boxes.

    got10k: ao and sr50, all frames in one pool. otb: auc and precision. vot: the toolkit has no evaluation of its
    unsupervised experiment yet, so there only stands ours.
    """
    by_name, pools = {}, []
    for name in folder.names:
        sequence = folder[name]
        boxes = read_records(kind, place, sequence)
        by_name[name], pooled = measure(sequence, boxes), overlaps(sequence, boxes)
        pools.append(pooled)
        if kind == "got10k":                                  # of one sequence as of all: clipped, hidden frames out
            by_name[name] |= {"ao": float(pooled.mean()), "sr50": float((pooled > 0.5).mean())}
    keys = {"got10k": {"ao": "ao", "sr50": "sr"}, "otb": {"auc": "success_score", "precision": "precision_score"},
            "vot": {"ao": None, "auc": None}}[kind]

    def beside(ours, their):
        return {metric: ({"toolkit": float(their[key])} if their else {}) | {"ours": float(ours[metric])}
                for metric, key in keys.items()}
    if kind == "got10k":
        pool = np.concatenate(pools)
        overall = {"ao": pool.mean(), "sr50": (pool > 0.5).mean()}
    else:
        overall = {metric: np.nanmean([by_name[name][metric] for name in folder.names]) for metric in keys}
    return {"overall": beside(overall, theirs.get("overall")),
            "sequences": {name: beside(by_name[name], theirs.get("seq_wise", {}).get(name)) for name in folder.names}}
