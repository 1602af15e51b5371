"""Measure the stitching network, or stitch photographs: python cases/view_free_stitch/test.py [options] [key=value ...]

pairs cut from photographs
    python cases/view_free_stitch/test.py --name check --weights release test.root=FOLDER
the fixed 300 pairs
    python cases/view_free_stitch/test.py --name check --weights release test.pairs=val300.csv test.root=FOLDER
photographed pairs
    python cases/view_free_stitch/test.py --name check --weights release test.root=FOLDER_WITH_pairs.csv
your own photographs
    python cases/view_free_stitch/test.py --weights release --input FOLDER --output panorama/
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

import numpy as np
import torch

from cases.view_free_stitch.baselines import AT, ROWS, answers, network_blend
from cases.view_free_stitch.data import evaluation_pairs
from cases.view_free_stitch.losses import jitter
from cases.view_free_stitch.model import SIDE, ViewFreeStitch
from common.base.errors import start
from common.data.images import to_bytes, to_tensor, write_image
from common.experiment.run import Run
from common.stitching.estimators import estimator, stitch_own
from common.stitching.geometry import corners, offsets_from_homography, refusal, transform, warp
from common.stitching.pairs import RealPairs, overlap_class
from common.stitching.quality import psnr_overlap, psnr_where, seam_step, ssim_overlap

MATCH = ["rmse_4pt", "rmse_4pt_below_1px", "failures", "psnr_overlap", "ssim_overlap"]
JOIN = ["psnr_union", "psnr_b_own", "seam_step"]
WORST = 100.0                      # pixels; no estimate, an impossible one and anything above count as this
REVISION = [f"{method}/{at}" for at in AT for method in ("average", "a_over_b", "revised")]


def main(argv=None):
    run = Run("view_free_stitch", "test", argv)
    weights = run.weights()
    model = run.load(ViewFreeStitch, weights)
    if run.options.input:
        return stitch_own(run, estimator(run.config.test.method, model, run.device), network_blend(model, run.device))
    pairs = evaluation_pairs(run.config)
    measure = measure_photographed if isinstance(pairs, RealPairs) else measure_generated
    return measure(run, model, weights, pairs)


def measure_generated(run, model, weights, pairs):
    """Every method on pairs with known homographies, and every way to join the pictures;
    results/view_free_stitch/<run>/test/<set>/."""
    results = run.results(pairs.set_name, weights, pairs.fingerprint(), rows=ROWS + REVISION, metrics=MATCH + JOIN,
                          classings=["overlap"], ranked="rmse_4pt")
    for place, item, pair in results.remaining(pairs.names, pairs.pair):
        found = answers(model, pair.a, pair.b, run.device, run.config.test.gain_bias)
        lines = {row: (measure_answer(answer, pair), None) for row, answer in found.items()}
        lines |= join_all(run, model, results, pair, found, item if place < run.config.test.images else None)
        results.add(item, lines, classes={"overlap": overlap_class(pair.overlap)})
    content = run.finish_test(results, weights, pairs.names)
    run.say(results.table(content, ["rmse_4pt_median", *MATCH], ROWS, "pairs"))
    run.say(results.table(content, JOIN, REVISION, "pairs"))
    run.say(f"results: {results.final}")
    return results.expect_no_failures("pair")


def measure_photographed(run, model, weights, pairs):
    """Every method on photographed pairs, judged by how well B's warp fits A; the classes come from their pairs.csv."""
    metrics = ["failures", "psnr_overlap", "ssim_overlap"]
    classings = sorted({name for place in range(len(pairs)) for name in pairs.classes(place)})
    results = run.results(pairs.set_name, weights, pairs.fingerprint(), rows=ROWS, metrics=metrics, classings=classings,
                          ranked="psnr_overlap")
    for place, item, (a, b) in results.remaining(pairs.names, pairs.pair):
        found = answers(model, a, b, run.device, gain_bias=True)
        results.add(item, {row: (measure_overlap(answer, a, b), None) for row, answer in found.items()},
                    classes=pairs.classes(place))
    content = run.finish_test(results, weights, pairs.names)
    run.say(results.table(content, metrics, ROWS, "pairs"))
    run.say(f"results: {results.final}")
    return results.expect_no_failures("pair")


# ---- one pair --------------------------------------------------------------------------------------------------------

def measure_answer(answer, pair):
    """The numbers of one method's answer to a generated pair; `reason` where it counts as a failure."""
    values = measure_overlap(answer, pair.a, pair.b, fair=lambda H: None if behind(H) is None else "w <= 0 at a corner")
    error = WORST
    if not values["failures"]:
        offsets = offsets_from_homography(answer.H_ba[None], (SIDE, SIDE))[0]
        error = min(WORST, (offsets - torch.from_numpy(pair.offsets)).square().mean().sqrt().item())
    if error >= WORST:
        values |= {"failures": 1, "reason": values.get("reason") or "off by 100 pixels or more"}
    return values | {"rmse_4pt": error, "rmse_4pt_below_1px": float(error < 1)}


def behind(H_ba):
    """`horizon` when a corner of B would lie behind the camera, or H_ba is not finite; else None."""
    _, w = transform(H_ba[None], corners((SIDE, SIDE))[None])
    return None if torch.isfinite(H_ba).all() and (w > 0).all() else "horizon"


def measure_overlap(answer, a, b, fair=None):
    """failures (0 or 1), psnr_overlap, ssim_overlap of one answer, pictures uint8. fair: what objects to a homography;
    default: refusal()."""
    if answer.H_ba is None:
        return {"failures": 1, "reason": answer.reason or "no estimate"}
    reason = fair(answer.H_ba) if fair else refusal(answer.H_ba, a.shape[1::-1], b.shape[1::-1])
    if reason:
        return {"failures": 1, "reason": reason}
    target = to_tensor(a)[None]
    warped, mask = warp(to_tensor(b)[None], answer.H_ba[None], a.shape[1::-1])
    scores = {"psnr_overlap": psnr_overlap(target, warped, mask).item(),
              "ssim_overlap": ssim_overlap(target, warped, mask).item()}
    return {"failures": 0} | {name: value for name, value in scores.items() if not np.isnan(value)}


@torch.inference_mode()
def join_all(run, model, results, pair, found, item):
    """{row: (metrics, image path)} of the joined pictures at three homographies: the network's, the refined, the true
    one with noise."""
    a, b, label = (to_tensor(picture)[None] for picture in (pair.a, pair.b, pair.label))
    generator = torch.Generator().manual_seed(run.config.test.jitter_seed + int(pair.name))
    at = {"network": found["network"].H_ba, "refined": found["network_refined"].H_ba}
    offsets = {name: offsets_from_homography(H[None], (SIDE, SIDE)) for name, H in at.items()}
    offsets["jittered"] = jitter(torch.from_numpy(pair.offsets)[None], run.config.test.jitter, generator, always=True)
    lines = {}
    for name in AT:
        stitched = model(a.to(run.device), b.to(run.device), offsets[name].to(run.device))
        warps = stitched.warps
        mask_a, mask_b, known = warps.mask_a.cpu(), warps.mask_b.cpu(), torch.from_numpy(pair.mask)[None, None]
        own = mask_b & ~mask_a & known
        for method, picture in (("average", warps.average()), ("a_over_b", warps.a_over_b()),
                                ("revised", stitched.revised)):
            written = to_tensor(to_bytes(picture[0].float().cpu()))[None]
            scores = {"psnr_union": psnr_where(written, label, (mask_a | mask_b) & known),
                      "psnr_b_own": psnr_where(written, label, own),
                      "seam_step": seam_step(written, [label], mask_a, mask_b & known)}
            path = (results.image_path(item, f"{method}/{name}") if item and (method, name) == ("revised", "refined")
                    else None)
            if path:
                write_image(path, written[0])
            lines[f"{method}/{name}"] = {key: value.item() for key, value in scores.items() if not value.isnan()}, path
    return lines


if __name__ == "__main__":
    sys.exit(start(main))
