"""What the demo promises of KinD on the sample pairs: the lesson of the paper can be seen there, in numbers."""
import json
import os
import shutil

import pytest
import torch

from cases.kind import enhance
from cases.kind.data import evaluation_set
from cases.kind.figures import SWEEP
from cases.kind.model import KinD
from common import metrics
from common.base import paths
from common.data.images import read_image, read_pixels, to_bytes
from common.data.samples import build
from common.experiment import checkpoints, settings


@pytest.fixture(scope="module")
def release():
    return checkpoints.build(KinD, checkpoints.find("kind", "demo", "release")).eval()


@pytest.fixture(scope="module")
def pairs():
    build("LOL")
    return evaluation_set(settings.resolve("kind", [], demo=True).config)


@torch.inference_mode()
def test_the_illumination_of_dark_pictures_is_dark(release, pairs):
    """I of the dark pictures lies well below that of the bright ones: the decomposition is not gray, and the light
    ratios are those of LOL."""
    for place in range(len(pairs.names)):
        low, high = (enhance.decompose(release, read_image(path)) for path in pairs.paths(place))
        assert low.illumination.mean() < 0.4 * high.illumination.mean()
        assert 3 < enhance.true_ratio(low, high) < 13


@torch.inference_mode()
def test_the_best_light_ratio_lies_inside_the_sweep(release, pairs):
    """Brighter, and then too bright: PSNR rises with the ratio and falls again."""
    low, high = pairs.paths(0)
    maps, target = enhance.decompose(release, read_image(low)), read_pixels(high)
    restored = enhance.restore(release, maps)
    scores = [metrics.fidelity(to_bytes((restored * enhance.adjust(release, maps, ratio))[0]), target)["psnr"]
              for ratio in SWEEP]
    best = scores.index(max(scores))
    assert 0 < best < len(SWEEP) - 1 and scores[best] > max(scores[0], scores[-1]) + 2


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what the demo of one case needs, so that results stay out of the real folders."""
    folder = tmp_path_factory.mktemp("demo")
    for name in ("cases", "common", "configs"):
        shutil.copytree(paths.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(build("LOL"), folder / "datasets/sample/LOL")
    for name in ("kind/release.pt", "SHA256SUMS"):
        (folder / "checkpoints" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.CHECKPOINTS / name, folder / "checkpoints" / name)
    return folder


def psnr_of(clone, processes, name, *words, threads=1, train=False):
    """{row: PSNR} of the demo's test under a name, after its training where that is asked for."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(clone)}
    for script in ("train", "test") if train else ("test",):
        done = processes.run([str(clone / f"cases/kind/{script}.py"), "--demo", "--name", name, *words], clone,
                             environment)
        assert done.returncode == 0, done.stderr
    content = json.loads((clone / "results/kind" / name / "test/eval15/metrics.json").read_text(encoding="utf-8"))
    return {row: values["psnr"] for row, values in content.items()}


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_what_the_demo_trains_beats_doing_nothing_and_a_gamma_curve(clone, processes, threads):
    """In seconds, whatever the number of threads; and the restoration that it has learnt is needed."""
    scores = psnr_of(clone, processes, f"trained{threads}", threads=threads, train=True)
    assert scores["gt_free"] > scores["identity/gt_free"] + 5 and scores["gt_free"] > scores["gamma/gt_free"] + 3
    assert scores["gt_free"] > scores["unrestored/gt_free"]


@pytest.mark.slow
def test_the_release_beats_the_tone_curve_too(clone, processes):
    """The curve was fitted on the sample's own training pairs, the release has never seen them."""
    scores = psnr_of(clone, processes, "released", "--weights", "release")
    assert scores["gt_free"] > scores["tone_curve/gt_free"]
    for protocol in ("gt_free", "gt_ratio"):
        assert scores[protocol] > scores[f"unrestored/{protocol}"], "restoration helps"
