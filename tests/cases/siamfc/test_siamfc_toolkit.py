"""test.toolkit: the got10k toolkit's experiments on our tracker and reader say what our own evaluation says."""
import json

import numpy as np
import pytest

from cases.siamfc import test
from cases.siamfc.baselines import trackers
from cases.siamfc.model import SiamFC
from common.base import paths
from common.data.samples import build
from common.experiment import checkpoints

WIDTHS = [8, 16, 16, 16, 8]


@pytest.fixture
def toolkit(tmp_path, monkeypatch):
    """A function (kind, root, *words) -> comparison.json of a run with a tiny network."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    network = trackers.build_untrained(SiamFC(WIDTHS).backbone, 0)
    checkpoints.save(tmp_path / "small.pt", {"case": "siamfc", "model": {"widths": WIDTHS},
                                             "weights": network.state_dict()})

    def run(kind, root, *words):
        test.main(["--weights", str(tmp_path / "small.pt"), "--device", "cpu", "--name", "t", f"test.root={root}",
                   f"test.toolkit={kind}", "tracker.scales=1", *words])
        return next((tmp_path / "results" / "siamfc" / "t" / "toolkit" / kind).glob("*")), json.loads(next(
            (tmp_path / "results" / "siamfc" / "t" / "toolkit" / kind).glob("*/comparison.json")).read_text())
    return run


def agree(comparison, metrics):
    for values in [comparison["overall"], *comparison["sequences"].values()]:
        assert list(values) == metrics
        for both in values.values():
            assert abs(both["toolkit"] - both["ours"]) < 1e-6
    return len(comparison["sequences"])


def test_got10k_on_the_sample(toolkit):
    place, comparison = toolkit("got10k", build("GOT-10k"))
    assert agree(comparison, ["ao", "sr50"]) == 3
    assert (place / "reports" / "SiamFC" / "performance.json").is_file()
    assert len(np.loadtxt(place / "results/SiamFC/GOT-10k_Val_000001/GOT-10k_Val_000001_001.txt", delimiter=",")) == 30


def test_it_begins_anew_for_other_weights_or_settings(toolkit):
    """The toolkit alone would take what it finds."""
    place, first = toolkit("otb", build("GOT-10k"))
    record = place / "results" / "SiamFC" / "GOT-10k_Val_000001.txt"
    record.write_text(record.read_text().replace("1", "2"))
    _, again = toolkit("otb", build("GOT-10k"))
    assert first == again and agree(again, ["auc", "precision"]) == 3


def test_vot_unsupervised_has_our_measures_alone(toolkit):
    _, comparison = toolkit("vot", build("GOT-10k"))
    assert all(list(both) == ["ours"] and 0 < both["ours"] <= 1 for both in comparison["overall"].values())


@pytest.mark.parametrize(("kind", "metrics"), [("got10k", ["ao", "sr50"]), ("otb", ["auc", "precision"])])
def test_on_real_sequences(shared, toolkit, kind, metrics):
    _, comparison = toolkit(kind, shared("data/OTB"), "test.names=[Girl, David]")
    assert agree(comparison, metrics) == 2
