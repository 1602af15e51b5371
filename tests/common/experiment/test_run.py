"""What Run and Training promise a train.py, on a toy: resume, best weights, the non-finite stop, the state before."""
import json
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from common.base import paths
from common.base.errors import Negative, UserError, start
from common.experiment import checkpoints
from common.experiment.run import Run
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training


class Sample(NamedTuple):
    x: torch.Tensor
    name: str


class Toy(torch.utils.data.Dataset):
    def __len__(self):
        return 5

    def fingerprint(self):
        return "toy"

    def __getitem__(self, place):
        return Sample(torch.from_numpy(np.random.default_rng([0, *place]).standard_normal(3).astype(np.float32)),
                      f"{place[1]}.png")


class Line(nn.Module):
    """Takes whatever settings msrnet has; a drop-out, so that the global generator matters too."""

    def __init__(self, **_):
        super().__init__()
        self.layer, self.drop = nn.Linear(3, 1), nn.Dropout(0.5)

    def forward(self, x):
        return self.layer(self.drop(x))


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path


WORDS = ["train.log_every=2", "train.save_every=3", "--device", "cpu"]


def train(*words, workers=0, steps=8, stop=None, spoil=None, stages=("train",), data=Toy,
          score=lambda step: float(step), metric="psnr"):
    """A small training; stop: raise after so many steps (a crash); spoil: make the loss infinite at that step."""
    it = Training(Run("msrnet", "train", [*WORDS, f"workers={workers}", *words]))
    model = it.run.prepare(it.start_from(Line()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    average, schedule = moving_average(model, 0.9), warmup_cosine(optimizer, steps, 2)
    for stage in stages:
        for batch in it.steps(data(), steps=steps, batch=2, stage=stage, model=model, optimizer=optimizer,
                              schedule=schedule, average=average):
            loss = model(batch.x).square().mean()
            it.descend(optimizer, 1.0, square=loss / 0 if it.step == spoil else loss)
            schedule.step()
            average.update_parameters(model)
            if it.due(4):
                it.validated(**{metric: score(it.step)})
            if it.step == stop and stage == stages[-1]:
                raise RuntimeError("crash")
    it.finish()
    return it


def state(folders, name):
    content = checkpoints.load(folders / "checkpoints/msrnet" / name / "last.pt")
    return checkpoints.digest(content["weights"]), (folders / "results/msrnet" / name / "train/log.jsonl").read_bytes()


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_crash_at_any_step_changes_nothing(folders, stop):
    train("--name", "whole")
    with pytest.raises(RuntimeError):
        train("--name", "crashed", stop=stop)
    train("--name", "crashed", workers=1)
    assert state(folders, "crashed") == state(folders, "whole")


def test_stages_follow_each_other_and_resume(folders, capsys):
    train("--name", "whole", stages=("first", "second"))
    with pytest.raises(RuntimeError):
        train("--name", "crashed", stages=("first", "second"), stop=5)
    train("--name", "crashed", stages=("first", "second"))
    assert state(folders, "crashed") == state(folders, "whole")
    stages = [json.loads(line)["stage"] for line in state(folders, "whole")[1].decode().splitlines()]
    assert set(stages) == {"first", "second"} and stages == sorted(stages)


def test_an_unreadable_state_falls_back_to_the_one_before(folders, capsys):
    train("--name", "whole")
    with pytest.raises(RuntimeError):
        train("--name", "hurt", stop=7)
    last = folders / "checkpoints/msrnet/hurt/last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    train("--name", "hurt")
    assert "warning" in capsys.readouterr().err
    assert state(folders, "hurt") == state(folders, "whole")


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(folders):
    with pytest.raises(UserError) as problem:
        train("--name", "spoilt", spoil=5)
    text = str(problem.value)
    assert "step 5" in text and "square inf" in text and ".png" in text
    assert checkpoints.load(folders / "checkpoints/msrnet/spoilt/last.pt")["step"] == 3


def test_best_is_by_the_metric_direction(folders):
    train("--name", "falling", score=lambda step: -float(step))
    best = checkpoints.load(folders / "checkpoints/msrnet/falling/best.pt")["best"]
    assert best == {"stage": "train", "step": 4, "metric": "psnr", "value": -4.0}
    train("--name", "rising")
    assert checkpoints.load(folders / "checkpoints/msrnet/rising/best.pt")["best"]["step"] == 8


@pytest.mark.parametrize("metric", ["mae", "entropy"])
def test_a_score_without_a_direction_cannot_choose_the_weights(folders, metric):
    """An unknown one (mae .5, .2, .9 was maximised once) and one that no direction of is better."""
    with pytest.raises(UserError, match=f"{metric}.*common/metrics/table.py"):
        train("--name", "undirected", metric=metric)
    assert not (folders / "checkpoints/msrnet/undirected/best.pt").exists()


def test_a_training_starts_from_other_weights(folders, capsys):
    train("--name", "first")
    best = folders / "checkpoints/msrnet/first/best.pt"
    begun = Training(Run("msrnet", "train", [*WORDS, "--name", "second", "--weights", str(best)]))
    network = begun.start_from(Line())
    assert torch.equal(network.layer.weight, checkpoints.load(best)["weights"]["layer.weight"])
    assert "starting from" in capsys.readouterr().out


def test_finished_runs_do_nothing_and_other_settings_are_refused(folders, capsys):
    train("--name", "done")
    before = state(folders, "done")
    train("--name", "done")
    assert "finished" in capsys.readouterr().out and state(folders, "done") == before
    with pytest.raises(UserError, match="seed was 0, is 1"):
        train("--name", "done", "seed=1")
    assert state(folders, "done") == before
    train("--name", "done", "seed=1", "--fresh")
    assert state(folders, "done") != before


def test_a_run_that_began_before_settings_were_renamed_goes_on(folders, capsys):
    with pytest.raises(RuntimeError):
        train("--name", "old", stop=5)
    last = folders / "checkpoints/msrnet/old/last.pt"
    content = checkpoints.load(last)
    content["settings"]["test"]["floors"] = content["settings"]["test"].pop("baselines")
    checkpoints.save(last, content)
    train("--name", "old")
    assert "going on at step 3" in capsys.readouterr().out
    train("--name", "whole")
    assert state(folders, "old") == state(folders, "whole")


def test_other_training_data_are_refused(folders):
    class Other(Toy):
        def fingerprint(self):
            return "other"
    with pytest.raises(RuntimeError):
        train("--name", "x", stop=5)
    with pytest.raises(UserError, match="other training data"):
        train("--name", "x", data=Other)


def test_log_has_means_six_digits_and_no_clock(folders):
    train("--name", "log")
    lines = [json.loads(line) for line in state(folders, "log")[1].decode().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6, 8]
    assert [line["step"] for line in lines if "val_psnr" in line] == [4, 8]
    assert {key for line in lines for key in line} == {"stage", "step", "loss", "square", "val_psnr"}
    assert all(value == float(f"{value:.6g}") for line in lines for value in line.values() if isinstance(value, float))


def test_batches_must_divide_over_processes(monkeypatch):
    it = Training(Run("msrnet", "train", [*WORDS, "--name", "x"]))
    it.run.world = 3
    with pytest.raises(UserError, match="multiple of 3"):
        next(it.steps(Toy(), steps=2, batch=4, model=Line()))


def test_start_translates_outcomes(capsys):
    def failing(problem):
        def main(argv):
            raise problem
        return main
    assert start(lambda argv: None, []) == 0
    assert start(failing(UserError("what: where")), []) == 2 and capsys.readouterr().err == "error: what: where\n"
    assert start(failing(Negative("they differ")), []) == 1 and capsys.readouterr().err == "no: they differ\n"
    with pytest.raises(ZeroDivisionError):
        start(failing(ZeroDivisionError()), [])
    with pytest.raises(UserError):
        start(failing(UserError("x")), ["--debug"])


def test_schedules():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, rates = warmup_cosine(optimizer, 100, 10), []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(1 / 11) and rates[50] == pytest.approx(0.505)
    assert max(rates) == pytest.approx(rates[10])
    assert rates[-1] < 0.012 and all(a >= b for a, b in zip(rates[11:], rates[12:]))


def test_moving_average_forgets_its_start_and_zero_means_none():
    model = nn.Linear(1, 1)
    for decay, expected in ((0.0, 1.0), (0.9, None)):
        average = moving_average(model, decay)
        for value in [0.0] * 3 + [1.0] * 200:
            model.weight.data.fill_(value)
            average.update_parameters(model)
        assert average.module.weight.item() == pytest.approx(1.0, abs=1e-6 if expected else 1e-4)
