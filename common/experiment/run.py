"""`Run`: what train.py, test.py and figures.py have in common and no reader wants to see: options, settings, device,
folders, weights, results."""
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn.parallel import DistributedDataParallel

from common.base import paths
from common.base.errors import printable, warn
from common.base.files import remove_parts
from common.base.lock import hold
from common.data import samples
from common.experiment import checkpoints, device, own, results, settings
from common.experiment.options import check_name, parse
from common.experiment.settings import plain


class Run:
    """One run of one script of one case.

    config: Settings. device: torch.device. name, folder (results/<case>/<name>), checkpoints
    (checkpoints/<case>/<name>). options: argparse's. world, main: how many processes there are, whether this one is
    the first, which alone writes and speaks.
    """

    def __init__(self, case, script, argv=None, shorthands=None):
        self.case, self.script = case, script
        self.options, words = parse(case, script, argv, shorthands)
        self.resolved = settings.resolve(case, words, self.options.config, self.options.demo)
        self.config, self.about = self.resolved.config, self.resolved.about
        self.name = check_name(self.options.name or ("demo" if self.options.demo else "default"))
        self.folder, self.checkpoints = paths.RESULTS / case / self.name, paths.CHECKPOINTS / case / self.name
        self.keeps = True                                  # what is written in its folder
        self.complete = True                               # no data were missing (figures.if_there)
        if device.rank() == 0:                             # which alone writes
            self._hold_folder()
        self.device = device.choose_device(self.options.device)
        self.threads = device.set_threads()
        device.join_processes(self.device)
        self.world, self.main = device.world_size(), device.rank() == 0
        device.seed_all(self.config.seed)
        self.started = time.monotonic()
        self.command = [Path(sys.argv[0]).name, *(sys.argv[1:] if argv is None else argv)]
        if self.main:
            remove_parts(self.folder)
            remove_parts(self.checkpoints)
        self._build_samples()

    def _hold_folder(self):
        """Let nobody else into the run's folder while this process lives. Where it cannot be written, only --output
        is."""
        try:
            hold(self.folder, f"{self.script}.py of {self.case}")
        except OSError as error:
            if not vars(self.options).get("output"):
                raise
            print(f"warning: {self.folder} cannot be written ({error.strerror}): only --output will be",
                  file=sys.stderr)
            self._elsewhere = tempfile.TemporaryDirectory()  # until this Run ends
            self.folder, self.keeps = Path(self._elsewhere.name) / self.name, False

    @property
    def trained(self):
        """The folder that train.py has filled: the run's own, else, of the release in a demo, the demo's."""
        own = self.folder / "train"
        return own if own.exists() or not self.options.demo else self.folder.with_name(paths.DEMO) / "train"

    def say(self, text):
        """Print a line, from the first process alone."""
        if self.main:
            print(printable(text, keep="\n\t"), flush=True)

    def _build_samples(self):
        """Build the embedded sample sets that a path of the settings lies in, on their first use."""
        values = [path for value in self.machine().values() for path in (value if isinstance(value, list) else [value])]
        for path in map(Path, filter(None, values)):
            if samples.FOLDER in path.parents and path.relative_to(samples.FOLDER).parts[0] in samples.SAMPLES:
                samples.build(path.relative_to(samples.FOLDER).parts[0])

    # ---- networks ----------------------------------------------------------------------------------------------------

    def prepare(self, model):
        """A network on the device, channels last; wrapped to share its gradients while training under torchrun."""
        model = model.to(self.device, memory_format=torch.channels_last)
        trained = any(parameter.requires_grad for parameter in model.parameters())
        if self.script == "train" and self.world > 1 and trained:
            places = [self.device.index] if self.device.type == "cuda" else None
            model = DistributedDataParallel(model, device_ids=places)
        return model

    def ignore_weights(self):
        """Say of --weights, where it is given, that it is not used: nothing that is learnt here begins with weights."""
        if self.options.weights:
            warn(f"--weights {self.options.weights} is not used: every picture begins anew")

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
        return device.autocast(self.device, self.config.precision)

    def expected_time(self):
        """How long a training takes with these settings, in words, as far as it was measured (about.time)."""
        known, typed = self.about.get("time", {}), self.resolved.typed
        kind = "demo" if self.options.demo else self.resolved.preset or "train"
        if kind not in known:
            return f"not measured for preset={kind}; the progress tells after some steps"
        changed = [key for key in typed if settings.decides_training(key) and key not in self.resolved.paths]
        return known[kind] + (f" as configured; you changed {', '.join(changed)}" if changed else "")

    # ---- results -----------------------------------------------------------------------------------------------------

    def results(self, set_name, weights, data, *, rows, metrics, classings=(), ranked=None, beside=False):
        """The results.TestResults of test/<set_name>/ for these weights, settings and data (a fingerprint).

        beside: where that folder has other results, they stay, and these get a folder with a number.
        """
        settings = self.resolved.judged_settings() | {"model": plain(weights.model)}
        return results.TestResults(self.folder, set_name, weights=weights.digest, settings=settings, data=data,
                                   rows=rows, metrics=metrics, classings=classings, ranked=ranked,
                                   fresh=self.options.fresh, beside=beside)

    def own_results(self, weights, paths, *, rows, metrics):
        """results() for the files of --input; the set is named after the folder given, else `input`, with a number
        where results of something else have that name: they stay."""
        folders = [Path(path) for path in self.options.input if Path(path).is_dir()]
        set_name = folders[0].resolve().name if len(folders) == len(self.options.input) == 1 else "input"
        facts = [(path.resolve(), path.stat()) for path in paths]
        data = [[str(path), fact.st_size, fact.st_mtime_ns] for path, fact in facts] + [self.options.output]
        return self.results(results.file_name(set_name) or "input", weights, data, rows=rows, metrics=metrics,
                            beside=True)

    def finish_test(self, test, weights, items, **more):
        """End a test (results()): metrics.json, manifest, and its entry in environment.json with more. Returns
        metrics.json's content. Raises Negative where not one item could be done: there is nothing to show."""
        content = test.finish(items)
        self.record(f"test/{test.set_name}", paths=self.machine(), weights=str(weights.path), **more)
        test.expect_some()
        return content

    def settle(self, made, also_read=()):
        """Where the results `made` of --input go, checked before any work: own.settle()."""
        return own.settle(self, made, also_read)

    def settle_folder(self, default, names, sources):
        """The folder where several results `names` go, checked before any work: own.settle_folder()."""
        return own.settle_folder(self, default, names, sources)

    def files_read(self):
        """The single files that settings and options name: settings, weights, pictures."""
        values = [self.options.config, self.options.weights]
        for value in self.machine().values():
            values += value if isinstance(value, list) else [value]
        return [Path(value) for value in values if value and Path(value).is_file()]

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
        entry = device.environment(self.device) | {
            "command": self.command, "commit": device.commit(paths.ROOT),
            "seconds": round(time.monotonic() - self.started, 2), "peak_memory_mb": device.peak_memory_mb(),
            "workers": self.config.workers} | more
        results.merge_json(self.folder / "environment.json", {part: entry})


def bare(state):
    """A network without its torchrun wrapper; anything else as it is."""
    return state.module if isinstance(state, DistributedDataParallel) else state


def released(case, network, weights="release", *words):
    """(what drawing and enhancing ask of a Run: config and device; the network of a release file), without folders: for
    the playground and the pages. words: key=value."""
    model, place = checkpoints.release_here(case, network, weights)
    run = SimpleNamespace(config=settings.resolve(case, words).config, device=place, name=weights, say=print)
    return run, model
