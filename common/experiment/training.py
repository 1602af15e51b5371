"""`Training`: what train.py needs beyond Run: where the training stands, its steps, log, checkpoints, signals."""
import json
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from common.base.errors import UserError, join_some
from common.base.files import append, beside, mend_place, take_place
from common.base.progress import Progress, duration
from common.base.yaml_text import to_yaml
from common.experiment import checkpoints, device, results
from common.experiment.run import bare
from common.experiment.sampling import Places, load_batches, to_device
from common.experiment.settings import flatten_settings, plain
from common.metrics import metric_of

STATES = ("last.pt", "previous.pt")                          # the state of a training, and the one before it


class Training:
    """The training of one Run: new, interrupted (resumed) or finished.

    arguments: the keyword arguments that build the network, which weights files carry: the settings model.* unless the
    case sets others before its first step. step, stage: where it stands. batch: the present one.
    """

    def __init__(self, run):
        self.run, self.arguments = run, run.config.model
        self.folder, self.checkpoints = self._choose_folders()
        self.log_path = self.folder / "log.jsonl"
        self.step, self.total, self.stage, self.batch, self.marks = 0, 0, None, None, {}
        self._states, self._best, self._sums, self._signal = {}, None, {}, 0
        self._saved = None if run.options.fresh else self._read_last()
        self.resumed, self.finished = bool(self._saved), bool(self._saved and self._saved["finished"])
        settings = run.resolved.judged_settings()
        if self.resumed and (changes := list_changes(self._saved["settings"], settings)):
            raise UserError(f"the run {run.name} began with other settings: {join_some(changes)}: a run keeps its "
                            "settings to the end: use --name NEW for another run, or --fresh to start this one again")
        self._say_begin()
        if run.main:
            if self.folder == self._final and not self.finished:
                results.withdraw(run.folder, "train")
            results.write_text(self.folder / "config.yaml", to_yaml(settings))
            self._cut_log(self._saved["log_bytes"] if self.resumed else 0)

    @property
    def _final(self):
        return self.run.folder / "train"

    def _choose_folders(self):
        """(folder of the log, folder of the checkpoints) of this training: the run's own, or, where --fresh meets an
        earlier training, new ones beside those, which take their place whole at finish()."""
        run, finals = self.run, [self._final, self.run.checkpoints]
        news = [beside(final) for final in finals]
        if run.main:
            for final in finals:
                mend_place(final)
        device.meet()
        begun = any((news[1] / name).exists() for name in STATES)
        new = any(map(Path.exists, finals)) if run.options.fresh else begun
        if run.main and not (new and begun and not run.options.fresh):
            for folder in news:
                shutil.rmtree(folder, ignore_errors=True)
        if not new:
            return finals
        if begun and not run.options.fresh:
            run.say("going on with the --fresh training that was begun; the one before it stays until this one ends")
            if not news[0].exists():                         # killed between the two places at the end
                return finals[0], news[1]
        return news

    def _read_last(self):
        """The state to go on from: last.pt, or, when that cannot be read, the one before; None for a new run."""
        for name in STATES:
            path = self.checkpoints / name
            if path.exists():
                try:
                    return checkpoints.load_state(path)
                except checkpoints.WeightsAlone:
                    raise
                except UserError as problem:
                    print(f"warning: {problem}; going back to the state before it", file=sys.stderr)
        return None

    def _say_begin(self):
        run = self.run
        run.say(f"{run.case}: training run '{run.name}' on {run.device}, {run.threads} threads, {run.world} "
                f"process(es); expected time: {run.expected_time()}")
        if run.config.precision == "bf16" and device.slow_bf16(run.device):
            run.say("this processor has no bfloat16 arithmetic and will be slow at it: precision=fp32 is faster here")
        if self.finished:
            run.say(f"this run is finished: {run.checkpoints} has its weights; --fresh trains again, --name NEW "
                    "beside it")

    def _cut_log(self, size):
        with open(self.log_path, "ab") as file:
            if file.tell() < size:
                print(f"warning: {self.log_path} is shorter than the run's state says; the curve will have a gap",
                      file=sys.stderr)
            file.truncate(min(size, file.tell()))

    def start_from(self, model):
        """The network with the weights of --weights as its start, where they are given and the run is new."""
        run = self.run
        if run.options.weights and not self.resumed:
            chosen = checkpoints.find(run.case, run.name, run.options.weights)
            model.load_state_dict(checkpoints.build(type(model), chosen, run.resolved.typed).state_dict())
            run.say(f"starting from {chosen.said}")
        return model

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def steps(self, data, *, steps, batch, stage="train", marks=None, **states):
        """Yield `steps` batches of `batch` samples, from where the run stopped; after each, log, save, obey signals.

        data: a data set with `__len__` and `__getitem__((epoch, index))`. states: everything with a state_dict that the
        run needs to go on exactly (model=, optimizer=, schedule=, average=); `average`, else `model`, gives the weights
        to evaluate. marks: {name: text} that each line of the log carries.
        """
        run, self.marks = self.run, marks or {}
        self._begin(stage, steps, batch, states, data)
        if self.step >= steps:
            return
        places = Places(len(data), batch, run.config.seed, self.step, steps, device.rank(), run.world)
        handlers = self._catch_signals()
        progress = Progress(stage, self.step, steps, show=run.main)
        batches = load_batches(data, places, run.config.workers, pin=run.device.type == "cuda")
        try:
            for loaded in batches:
                self.batch, self.step = to_device(loaded, run.device), self.step + 1
                yield self.batch
                self._after_step(progress)
        finally:
            batches.close()                                  # joins the workers
            progress.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self._done.append(stage)
        self._save()

    def _begin(self, stage, steps, batch, states, data):
        """Enter a stage: at its beginning, at its end when it is done, or where the saved state stands within it."""
        if batch % self.run.world:
            raise UserError(f"a batch of {batch} cannot be split over {self.run.world} processes: expected a multiple "
                            f"of {self.run.world}: change the batch size or --nproc-per-node")
        self._states, self.stage, self.total = states, stage, steps
        self._data = data.fingerprint() if hasattr(data, "fingerprint") else None
        self._done = list(self._saved["done"]) if self._saved else []
        self.step, self._best, self._sums = steps if stage in self._done else 0, None, {}
        if self._saved and self._saved["stage"] == stage:
            self._go_on()

    def _go_on(self):
        """Take over the saved state of this stage."""
        run, saved = self.run, self._saved
        if saved["data"] != self._data:
            raise UserError(f"the run {run.name} began with other training data: expected the same files as before: "
                            "use --name NEW for another run, or --fresh to start this one again")
        for name, state in self._states.items():
            bare(state).load_state_dict(saved["states"][name])
        torch.set_rng_state(saved["random"])
        if run.device.type == "cuda" and saved["random_cuda"] is not None:
            torch.cuda.set_rng_state(saved["random_cuda"], run.device)
        self.step, self._best, self._sums = saved["step"], saved["best"], saved["sums"]
        if not self.finished:
            run.say(f"going on at step {self.step} of {self.total}")

    def descend(self, optimizer, clip=None, **terms):
        """One optimisation step on the sum of the terms (each a scalar, already weighted), which are also logged.

        clip: largest norm of the gradient. A term that is not finite stops the run before anything is changed.
        """
        loss = self.expect_finite(terms)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        self.log(loss=loss, **terms)

    def expect_finite(self, terms):
        """The sum of the terms {name: scalar}. Raises UserError with each of them and the batch's pictures where it is
        not finite."""
        loss = sum(terms.values())
        if not torch.isfinite(loss):
            values = ", ".join(f"{name} {value.item():.6g}" for name, value in terms.items())
            raise UserError(f"the loss is not finite at step {self.step} of {self.stage}: {values}; pictures of the "
                            f"batch: {join_some(getattr(self.batch, 'name', ['(unnamed)']))}: the last checkpoint "
                            "stays as it was: lower train.lr, or look at those pictures")
        return loss

    def log(self, **values):
        """Add scalars to the log's running means; a line with the means is written every `train.log_every` steps."""
        for name, value in values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + torch.as_tensor(value, dtype=torch.float64).detach(), count + 1)

    def due(self, every):
        """Whether something that is done every so many steps, and at the last one, is due now."""
        return self.step % every == 0 or self.step == self.total

    def validated(self, **scores):
        """Log scores on held-out data; where the first is the best so far, the weights become best.pt.

        Raises UserError where common/metrics/table.py does not say which way the first score is better.
        """
        name, value = next(iter(scores.items()))
        direction = metric_of(name).direction
        if direction not in ("higher", "lower"):
            raise UserError(f"the score {name!r} chooses the weights (best.pt), but nothing says whether higher or "
                            f"lower is better: expected a line {name!r} with a direction: enter it in METRICS of "
                            "common/metrics/table.py, or give another score first")
        self._write_log({f"val_{name}": value for name, value in scores.items()})
        sign = 1 if direction == "higher" else -1
        if self._best is None or sign * value > sign * self._best["value"]:
            self._best = {"stage": self.stage, "step": self.step, "metric": name, "value": float(value)}
            if self.run.main:
                settings = self.run.resolved.judged_settings()
                checkpoints.save(self.checkpoints / "best.pt",
                                 self._weights() | {"settings": settings, "best": self._best})

    def _after_step(self, progress):
        progress.update(self.step, self._sums)
        if self.due(self.run.config.train.log_every):
            self._write_log(self._means())
            self._sums = {}
        number = device.any_process(self._signal, self.run.device)
        if number or (self.step < self.total and self.step % self.run.config.train.save_every == 0):
            self._save()
        if number:
            again = "the same command without --fresh" if self.run.options.fresh else "the same command"
            self.run.say(f"stopped by {signal.Signals(number).name} after step {self.step}; {again} goes on from here")
            raise SystemExit(128 + number)

    def _means(self):
        means = torch.tensor([float(total / count) for total, count in self._sums.values()], dtype=torch.float64)
        return dict(zip(self._sums, device.mean_over_processes(means).tolist()))

    def _write_log(self, values):
        if self.run.main:
            rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
            line = {"stage": self.stage, "step": self.step} | self.marks | rounded
            append(self.log_path, json.dumps(line, allow_nan=False) + "\n")

    def _catch_signals(self):
        """SIGINT and SIGTERM only raise a flag, which the end of the step looks at; a second Ctrl-C stops at once."""
        def remember(number, frame):
            if self._signal:
                raise KeyboardInterrupt
            self._signal = number
        return {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}

    # ---- what stays --------------------------------------------------------------------------------------------------

    def _weights(self):
        """What every weights file says: the case, the network's arguments, and the weights to evaluate."""
        model = self._states.get("average") or self._states["model"]
        model = model.module if hasattr(model, "module") else model
        state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        return {"case": self.run.case, "model": plain(self.arguments), "weights": state}

    def _save(self, finished=False):
        """Write last.pt: everything that the run needs to go on with the same numbers as if it had never stopped."""
        run = self.run
        self._saved = self._weights() | {
            "settings": run.resolved.judged_settings(), "data": self._data, "stage": self.stage, "step": self.step,
            "done": self._done, "finished": finished,
            "states": {name: bare(state).state_dict() for name, state in self._states.items()}, "best": self._best,
            "sums": {name: (float(total), count) for name, (total, count) in self._sums.items()},
            "log_bytes": self.log_path.stat().st_size if run.main else 0, "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(run.device) if run.device.type == "cuda" else None}
        if run.main:
            checkpoints.save(self.checkpoints / "last.pt", self._saved, keep_previous=True)

    def finish(self):
        """The end of a training: the final state, the manifest, and where to look."""
        run = self.run
        if not self.finished:
            self._save(finished=True)
        if run.main:
            (self.checkpoints / "previous.pt").unlink(missing_ok=True)
            self._take_places()
            best = run.checkpoints / "best.pt"
            content = checkpoints.load(best if best.exists() else run.checkpoints / "last.pt")
            results.write_manifest(run.folder, "train", checkpoints.digest(content["weights"]))
            run.record("train", paths=run.machine())
            run.say(f"trained: weights in {run.checkpoints}, log in {self.folder}; "
                    f"{duration(time.monotonic() - run.started)}")
        device.leave_processes()

    def _take_places(self):
        """A fresh training takes the place of the one before it."""
        if self.folder != self._final:
            results.withdraw(self.run.folder, "train")
            take_place(self.folder, self._final)
            self.folder, self.log_path = self._final, self._final / "log.jsonl"
        if self.checkpoints != self.run.checkpoints:         # last: while it is there, the same command ends this
            take_place(self.checkpoints, self.run.checkpoints)
            self.checkpoints = self.run.checkpoints


def list_changes(before, now):
    """The settings in which two nested ones differ, each as `key was before, is now`."""
    old, new = flatten_settings(before), flatten_settings(now)
    return [f"{key} was {old.get(key)}, is {new.get(key)}" for key in old | new if old.get(key) != new.get(key)]
