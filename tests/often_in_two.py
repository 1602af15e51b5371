"""Short trainings by two processes (gloo) again and again: does one of them die, at its end above all?

    python tests/often_in_two.py                    every case whose batches two processes share: 10 runs, siamfc 50
    python tests/often_in_two.py kind=3 siamfc=5    so many runs of these cases

In a copy of the project, by processes that get what torchrun would tell them but have their libraries already (see
tests/processes.py): that is a tenth of the time. A line for each run; of one that failed, what it said last.
"""
import os
import shutil
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
sys.path.append(str(Path(__file__).parent))

from processes import Processes  # noqa: E402

from common.base.paths import ROOT, all_cases  # noqa: E402
from common.data.samples import build  # noqa: E402

SHORT = ["--demo", "--fresh", "workers=1", "train.steps=4", "train.save_every=2", "train.log_every=1",
         "train.validate_every=4"]
OF_ITS_OWN = {"kind": ["train.validate_pictures=1"],
              "vgg19_style": ["stage=fast", "train.crop=64", "data.size=96", "train.batch_size=2",
                              "train.validate_pictures=1"]}
ALONE = "image_prior"                          # a picture has no batch to share
USUAL = {case: 50 if case == "siamfc" else 10 for case in all_cases() if case != ALONE}


def main(words):
    counts = {case: int(count) for case, count in (word.split("=") for word in words)} or USUAL
    failed, ranks = dict.fromkeys(counts, 0), (Processes(), Processes())
    with tempfile.TemporaryDirectory() as place:
        copy_project(Path(place))
        for number in range(max(counts.values())):
            for case in (case for case, count in counts.items() if number < count):
                failed[case] += train(ranks, case, number, place)
    for case, count in counts.items():
        print(f"{case}: {count} runs, {failed[case]} failed")
    return min(1, sum(failed.values()))


def copy_project(folder):
    build()
    for name in ("cases", "common", "configs", "checkpoints", "datasets"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def train(ranks, case, number, folder):
    """One training by two processes; whether it failed."""
    command = [f"{folder}/cases/{case}/train.py", *SHORT, *OF_ITS_OWN.get(case, []), "--name", f"two-{number}"]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(process.run, command, folder, os.environ | place | {"RANK": str(rank)})
                for rank, process in enumerate(ranks)]
        done = [each.result() for each in done]
    print(f"{case} {number}: {[each.returncode for each in done]}, {time.monotonic() - began:.0f} s", flush=True)
    for each in filter(lambda each: each.returncode, done):
        print(each.stdout[-1000:], each.stderr[-3000:], flush=True)
    return int(any(each.returncode for each in done))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
