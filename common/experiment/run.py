"""`Run`: what a train.py, test.py or figures.py needs and no reader wants to see: options, folders, resume, signals,
log, progress."""
import json
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from common.base import paths, yaml_text
from common.base.errors import UserError, join_some
from common.base.files import remove_parts
from common.base.progress import Progress, duration
from common.data import samples
from common.experiment import checkpoints, results, settings
from common.experiment.device import (
    any_process,
    autocast,
    choose_device,
    commit,
    environment,
    join_processes,
    leave_processes,
    mean_over_processes,
    peak_memory_mb,
    rank,
    seed_all,
    set_threads,
    slow_bf16,
    world_size,
)
from common.experiment.options import check_name, parse
from common.experiment.sampling import Places, as_worker, to_device
from common.experiment.settings import plain
from common.metrics import metric_of


class Run:
    """One run of one script of one case.

    config: Settings. device: torch.device. name, folder (results/<case>/<name>), checkpoints
    (checkpoints/<case>/<name>). options: argparse's.
    """

    def __init__(self, case, script, argv=None, shorthands=None):
        self.case, self.script = case, script
        self.options, words = parse(case, script, argv, shorthands)
        self.resolved = settings.resolve(case, words, self.options.config, self.options.demo)
        self.config, self.about = self.resolved.config, self.resolved.about
        self.name = check_name(self.options.name or ("demo" if self.options.demo else "default"))
        self.folder, self.checkpoints = paths.RESULTS / case / self.name, paths.CHECKPOINTS / case / self.name
        self.device = choose_device(self.options.device)
        self.threads = set_threads()
        join_processes(self.device)
        self.world, self.main = world_size(), rank() == 0
        seed_all(self.config.seed)
        self.started, self.command = time.monotonic(), [Path(sys.argv[0]).name,
                                                        *(sys.argv[1:] if argv is None else argv)]
        self.step, self.stage, self.batch, self.marks = 0, None, None, {}
        self._saved, self._states, self._best, self._sums, self._signal = None, {}, None, {}, 0
        if self.main:
            remove_parts(self.folder)
            remove_parts(self.checkpoints)
        self._build_samples()
        if script == "train":
            self._open()

    # ---- beginning ---------------------------------------------------------------------------------------------------

    def say(self, text):
        """Print a line, from the first process alone."""
        if self.main:
            print(text, flush=True)

    def _build_samples(self):
        """Build the embedded sample sets that a path of the settings lies in, on their first use."""
        values = [path for value in self.machine().values() for path in (value if isinstance(value, list) else [value])]
        for path in map(Path, filter(None, values)):
            if samples.FOLDER in path.parents and path.relative_to(samples.FOLDER).parts[0] in samples.SAMPLES:
                samples.build(path.relative_to(samples.FOLDER).parts[0])

    def _open(self):
        """Find out where this training stands: new, interrupted or finished."""
        if self.options.fresh and self.main:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            shutil.rmtree(self.folder / "train", ignore_errors=True)
        self._saved = self._last() if not self.options.fresh else None
        settings = self.resolved.judged_settings()
        if self._saved and self._saved["settings"] != settings:
            changed = join_some(different(self._saved["settings"], settings))
            raise UserError(f"the run {self.name} began with other settings: {changed}: a run keeps its settings to "
                            "the end: use --name NEW for another run, or --fresh to start this one again")
        self.finished, self.resumed = bool(self._saved and self._saved["finished"]), bool(self._saved)
        estimate = self.about.get("time", {}).get("demo" if self.options.demo else "train", "unknown")
        self.say(f"{self.case}: training run '{self.name}' on {self.device}, {self.threads} threads, {self.world} "
                 f"process(es); expected time: {estimate}")
        if self.config.precision == "bf16" and slow_bf16(self.device):
            self.say("this processor has no bfloat16 arithmetic and will be slow at it: precision=fp32 is faster here")
        if self.finished:
            self.say(f"this run is finished: {self.checkpoints} has its weights; --fresh trains again, --name NEW "
                     "beside it")
        if self.main:
            results.write_text(self.folder / "train" / "config.yaml", yaml_text.to_yaml(settings))
            self._cut_log(self._saved["log_bytes"] if self._saved else 0)

    def _last(self):
        """The training state to go on from: last.pt, or, when that cannot be read, the one before; None for a new
        run."""
        for name in ("last.pt", "previous.pt"):
            path = self.checkpoints / name
            if path.exists():
                try:
                    return checkpoints.load(path)
                except UserError as problem:
                    print(f"warning: {problem}; going back to the state before it", file=sys.stderr)
        return None

    def _cut_log(self, size):
        log = self.folder / "train" / "log.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as file:
            if file.tell() < size:
                print(f"warning: {log} is shorter than the run's state says; the curve will have a gap",
                      file=sys.stderr)
            file.truncate(min(size, file.tell()))

    def prepare(self, model, start=True):
        """Move a network to the device, channels last; wrapped for torchrun when it runs. start: whether --weights,
        where given, has its start values (not so for a part of the network that the file holds)."""
        if start and self.script == "train" and self.options.weights and not self._saved:
            chosen = checkpoints.find(self.case, self.name, self.options.weights)
            model.load_state_dict(checkpoints.build(type(model), chosen, self.resolved.typed).state_dict())
            self.say(f"starting from {chosen.said}")
        model = model.to(self.device, memory_format=torch.channels_last)
        if self.script == "train" and self.world > 1 and any(parameter.requires_grad
                                                             for parameter in model.parameters()):
            model = DistributedDataParallel(model, device_ids=[self.device.index] if self.device.type == "cuda"
                                            else None)
        return model

    def weights(self):
        """The weights that --weights names, or the run's best, last, or the release: checkpoints.Weights, said in one
        line."""
        chosen = checkpoints.find(self.case, self.name, self.options.weights)
        self.say(f"weights: {chosen.said} (content {chosen.digest[:12]})")
        return chosen

    def load(self, network, chosen):
        """network built from its weights file, on the device, channels last, in evaluation mode."""
        return self.prepare(checkpoints.build(network, chosen, self.resolved.typed)).eval()

    def autocast(self):
        """The context for forward passes at the setting `precision`."""
        return autocast(self.device, self.config.precision)

    # ---- training ----------------------------------------------------------------------------------------------------

    def steps(self, data, *, steps, batch, stage="train", marks=None, **states):
        """Yield `steps` batches of `batch` samples, going on where the run stopped; after each, log, checkpoint and
        obey signals.

        data: a data set with `__len__` and `__getitem__((epoch, index))`. states: everything with a state_dict that the
        run needs to go on exactly (model=, optimizer=, schedule=, average=); `average`, else `model`, gives the weights
        to evaluate. marks: {name: text} that each line of the log carries.
        """
        self.marks = marks or {}
        self._begin(stage, steps, batch, states, data)
        if self.step >= steps:
            return
        places = Places(len(data), batch, self.config.seed, self.step, steps, rank(), self.world)
        loader = DataLoader(data, batch_sampler=places, num_workers=self.config.workers, worker_init_fn=as_worker,
                            generator=torch.Generator().manual_seed(0), pin_memory=self.device.type == "cuda")
        handlers = self._catch_signals()
        progress = Progress(stage, self.step, steps, show=self.main)
        try:
            for loaded in loader:
                self.batch, self.step = to_device(loaded, self.device), self.step + 1
                yield self.batch
                self._after_step(steps, progress)
        finally:
            progress.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self._done.append(stage)
        self._save()

    def _begin(self, stage, steps, batch, states, data):
        if batch % self.world:
            raise UserError(f"a batch of {batch} cannot be split over {self.world} processes: expected a multiple of "
                            f"{self.world}: change the batch size or --nproc-per-node")
        self._states, self.stage, self.total = states, stage, steps
        self._done = list(self._saved["done"]) if self._saved else []
        self._data = data.fingerprint() if hasattr(data, "fingerprint") else None
        self.step, self._best, self._sums = 0, None, {}
        if not self._saved:
            return
        if stage in self._done:
            self.step = steps
        if self._saved["stage"] != stage:
            return
        if self._saved["data"] != self._data:
            raise UserError(f"the run {self.name} began with other training data: expected the same files as before: "
                            f"use --name NEW for another run, or --fresh to start this one again")
        for name, state in states.items():
            bare(state).load_state_dict(self._saved["states"][name])
        torch.set_rng_state(self._saved["random"])
        if self.device.type == "cuda" and self._saved["random_cuda"] is not None:
            torch.cuda.set_rng_state(self._saved["random_cuda"], self.device)
        self.step, self._best, self._sums = self._saved["step"], self._saved["best"], self._saved["sums"]
        if not self.finished:
            self.say(f"going on at step {self.step} of {steps}")

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
        """The sum of the terms {name: scalar}. Raises UserError, with each of them and the batch's pictures, where it
        is not finite."""
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
            value = (value.detach().double() if torch.is_tensor(value)
                     else torch.tensor(float(value), dtype=torch.float64))
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def due(self, every):
        """Whether something that is done every so many steps, and at the last one, is due now."""
        return self.step % every == 0 or self.step == self.total

    def validated(self, **scores):
        """Log scores on held-out data; where the first is the best so far by its direction, the weights become
        best.pt."""
        self._write_log({f"val_{name}": value for name, value in scores.items()})
        name, value = next(iter(scores.items()))
        lower = metric_of(name).direction == "lower"
        if self._best is None or (value < self._best["value"] if lower else value > self._best["value"]):
            self._best = {"stage": self.stage, "step": self.step, "metric": name, "value": float(value)}
            if self.main:
                checkpoints.save(self.checkpoints / "best.pt",
                                 self._weights() | {"settings": self.resolved.judged_settings(), "best": self._best})

    def _after_step(self, steps, progress):
        progress.update(self.step, self._sums)
        if self.due(self.config.train.log_every):
            self._write_log(self._means())
            self._sums = {}
        number = any_process(self._signal, self.device)
        if number or (self.step < steps and self.step % self.config.train.save_every == 0):
            self._save()
        if number:
            self.say(f"stopped by {signal.Signals(number).name} after step {self.step}; the same command goes on from "
                     "here")
            raise SystemExit(128 + number)

    def _means(self):
        names = list(self._sums)
        means = (torch.stack([torch.as_tensor(total / count).cpu() for total, count in self._sums.values()]) if names
                 else torch.zeros(0))
        return dict(zip(names, mean_over_processes(means).tolist()))

    def _write_log(self, values):
        if self.main:
            line = ({"stage": self.stage, "step": self.step} | self.marks
                    | {name: float(f"{value:.6g}") for name, value in values.items()})
            with open(self.folder / "train" / "log.jsonl", "a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")

    def _weights(self):
        model = self._states.get("average") or self._states["model"]
        model = model.module if hasattr(model, "module") else model
        state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        return {"case": self.case, "model": plain(self.config.model), "weights": state}

    def _save(self, finished=False):
        """Write last.pt: everything that the run needs to go on with the same numbers as if it had never stopped."""
        sums = {name: (float(total), count) for name, (total, count) in self._sums.items()}
        content = self._weights() | {
            "settings": self.resolved.judged_settings(), "data": self._data, "stage": self.stage, "step": self.step,
            "done": self._done,
            "finished": finished, "states": {name: bare(state).state_dict() for name, state in self._states.items()},
            "best": self._best, "sums": sums, "log_bytes": (self.folder / "train" / "log.jsonl").stat().st_size
            if self.main else 0,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None}
        if self.main:
            checkpoints.save(self.checkpoints / "last.pt", content, keep_previous=True)
        self._saved = content

    def _catch_signals(self):
        """SIGINT and SIGTERM only raise a flag, which the end of the step looks at; a second Ctrl-C stops at once."""
        def remember(number, frame):
            if self._signal:
                raise KeyboardInterrupt
            self._signal = number
        return {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}

    # ---- end ---------------------------------------------------------------------------------------------------------

    def finish(self):
        """The end of a training: the final state, the manifest, and where to look."""
        if not self.finished:
            self._save(finished=True)
        if self.main:
            (self.checkpoints / "previous.pt").unlink(missing_ok=True)
            best = self.checkpoints / "best.pt"
            content = checkpoints.load(best if best.exists() else self.checkpoints / "last.pt")
            results.write_manifest(self.folder, "train", checkpoints.digest(content["weights"]))
            self.record("train", paths=self.machine())
            self.say(f"trained: weights in {self.checkpoints}, log in {self.folder / 'train'}; "
                     f"{duration(time.monotonic() - self.started)}")
        leave_processes()

    # ---- results of a test -------------------------------------------------------------------------------------------

    def results(self, set_name, weights, data, *, rows, metrics, classings=(), ranked=None):
        """The results.TestResults of test/<set_name>/ for these weights, settings and data (a fingerprint)."""
        settings = self.resolved.judged_settings() | {"model": plain(weights.model)}
        return results.TestResults(self.folder, set_name, weights=weights.digest, settings=settings, data=data,
                                   rows=rows,
                                   metrics=metrics, classings=classings, ranked=ranked, fresh=self.options.fresh)

    def own_results(self, weights, paths, *, rows, metrics):
        """results() for the files of --input; the set is named after the folder given, else `input`."""
        folders = [Path(path) for path in self.options.input if Path(path).is_dir()]
        set_name = folders[0].resolve().name if len(folders) == len(self.options.input) == 1 else "input"
        data = [[str(path), path.stat().st_size] for path in paths] + [self.options.output]
        return self.results(set_name or "input", weights, data, rows=rows, metrics=metrics)

    def output_path(self, path, item):
        """Where --output puts the result of an input file: the file itself for one file, else a folder; None without
        --output."""
        if not self.options.output:
            return None
        output, path = Path(self.options.output), Path(path)
        one_file = len(self.options.input) == 1 and not Path(self.options.input[0]).is_dir()
        target = output if one_file and output.suffix and not output.is_dir() else output / (item + path.suffix)
        if target.exists() and target.samefile(path):
            raise UserError(f"--output would overwrite the input {path}: results never replace their material: choose "
                            "another --output")
        return target

    def machine(self):
        """The settings that belong to the machine: paths by dotted key."""
        values = {}
        for key in sorted(self.resolved.paths):
            value = self.config
            for part in key.split("."):
                value = value[part]
            values[key] = value
        return values

    def record(self, part, **more):
        """Add to environment.json what this part ran on and how long it took (not judged). inputs={item: path} shows
        the report the "before"."""
        entry = environment(self.device) | {
            "command": self.command, "commit": commit(paths.ROOT), "seconds": round(time.monotonic() - self.started, 2),
            "peak_memory_mb": peak_memory_mb(), "workers": self.config.workers} | more
        results.merge_json(self.folder / "environment.json", {part: entry})


def bare(state):
    """A network without its torchrun wrapper; anything else as it is."""
    return state.module if isinstance(state, DistributedDataParallel) else state


def different(before, now, prefix=""):
    """The keys in which two nested settings differ, each as `key: before -> now`."""
    lines = []
    for key in [*before, *(key for key in now if key not in before)]:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += different(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key} was {old}, is {new}")
    return lines
