"""Train unsupervised stitching: python cases/udis/train.py [options] [key=value ...]   (settings: configs/udis.yaml)

the homography on synthetic pairs
    python cases/udis/train.py --name pretrain --weights checkpoints/view_free_stitch/release.pt
... on photographed pairs
    python cases/udis/train.py preset=align --name align --weights checkpoints/udis/pretrain/best.pt
stage 2 on aligned pairs
    python cases/udis/train.py preset=reconstruct --name reconstruct --weights checkpoints/udis/align/best.pt
... and a mesh beyond the homography
    python cases/udis/train.py preset=mesh --name mesh --weights checkpoints/udis/reconstruct/best.pt
a first look (embedded sample data)
    python cases/udis/train.py --demo
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

from functools import lru_cache
from operator import itemgetter

import torch
from torch.optim.lr_scheduler import LambdaLR

from cases.udis.baselines import IDENTITY, by_keypoints, join_all, refine_starts
from cases.udis.data import AlignmentPairs, MeshTasks, WholePairs, read_photographed, trainable
from cases.udis.joins import bent_domain
from cases.udis.losses import alignment_terms, colour_jitter, cut_terms, mesh_terms, offset_distance, repaint_terms
from cases.udis.mesh_learnt import Overlap, bend_learnt, crop_overlap, extract_features
from cases.udis.model import UDIS, guard
from cases.udis.perceptual import perceptual
from cases.udis.quality import measure_alignment, measure_joined
from common.base.errors import UserError, start
from common.data.images import split_photographs, to_bytes, to_tensor
from common.experiment import checkpoints
from common.experiment.run import Run, bare
from common.experiment.schedules import moving_average, warmup_cosine
from common.experiment.training import Training
from common.stitching.estimators import Answer, network_estimate
from common.stitching.geometry import warp
from common.stitching.keypoints import SIFT
from common.stitching.mesh import bend as bend_by_flow
from common.stitching.mesh import flat
from common.stitching.pairs import HomographyPairs, draw_pairs


def main(argv=None):
    run = Run("udis", "train", argv)
    training = Training(run)
    stages = {"pretrain": pretrain, "align": align, "reconstruct": reconstruct, "mesh": bend}
    stages[run.config.stage](training, run.config)
    training.finish()


def pretrain(training, cfg):
    """Synthetic pairs of photographs, disturbed independently. Unsupervised, and, where offset_weight is not 0, by the
    known offsets too."""
    run = training.run
    photos, held = split_photographs(cfg.data.photos)
    pairs = HomographyPairs(photos, cfg.seed, augment=True, label=False)
    held_out = draw_pairs(held, cfg.train.validate_pairs, 1)
    model, average, optimizer, schedule = prepare(training, cfg, "homography")
    for pair in training.steps(pairs, steps=cfg.train.steps, batch=cfg.train.batch_size, stage="pretrain",
                               model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            prediction = model(pair.a, pair.b)
        terms = alignment_terms(prediction, pair.a, pair.b, cfg.train)
        if cfg.train.offset_weight:
            terms["offsets"] = cfg.train.offset_weight * offset_distance(prediction.stages, pair.offsets)
        training.descend(optimizer, cfg.train.clip, **terms)
        training.log(overlap=overlap_of(prediction.offsets, pair))
        after_step(model, average, schedule)
        if training.due(cfg.train.validate_every):
            training.validated(**validate_offsets(run, average.module, held_out))


def align(training, cfg):
    """Photographed pairs, no labels at all. The network sees jittered colours, the loss the plain pictures."""
    run, pairs = training.run, read_photographed(cfg.data.root, "training")
    samples = AlignmentPairs(pairs, trainable(pairs), cfg.seed)
    model, average, optimizer, schedule = prepare(training, cfg, "homography")
    for views in training.steps(samples, steps=cfg.train.steps, batch=cfg.train.batch_size, stage="align",
                                model=model, optimizer=optimizer, schedule=schedule, average=average):
        with run.autocast():
            prediction = model(colour_jitter(views.a), colour_jitter(views.b))
        training.descend(optimizer, cfg.train.clip, **alignment_terms(prediction, views.a, views.b, cfg.train))
        training.log(overlap=overlap_of(prediction.offsets, views))
        after_step(model, average, schedule)
        if training.due(cfg.train.validate_every):
            training.validated(**validate_warps(run, average.module, pairs,
                                                samples.places[:cfg.train.validate_pairs]))


@torch.no_grad()
def overlap_of(offsets, views):
    """The mean share of A that the warps of B cover: what the paper's loss has no reason to keep."""
    H_ba, _ = guard(offsets)
    return warp(views.b, H_ba, views.a.shape[:1:-1])[1].mean()


def reconstruct(training, cfg):
    """Stage 2 on the warps of stage 1 (refined), one pair at a time, since canvases differ. Stage 1 is frozen;
    --weights brings it."""
    run = training.run
    expect_start(training)
    pairs = read_photographed(cfg.data.root, "training")
    samples = WholePairs(pairs, trainable(pairs), cfg.train.longest)
    features = perceptual(cfg.train, run.device, run.say) if cfg.model.form == "paper" else None
    model, average, optimizer, schedule = prepare(training, cfg, "reconstruction")
    aligner = Aligner(run, model)
    for views in training.steps(samples, steps=cfg.train.steps, batch=run.world, stage="reconstruct",
                                model=model, optimizer=optimizer, schedule=schedule, average=average):
        warps = turn(aligner.warps(views))
        with run.autocast():
            stitched = model(warps)
        stitched = type(stitched)(*(each.float() if torch.is_tensor(each) else each for each in stitched))
        terms = (repaint_terms(stitched, warps, features, cfg.train) if stitched.share is None
                 else cut_terms(stitched, warps, cfg.train))
        training.descend(optimizer, cfg.train.clip, **terms)
        after_step(model, average, schedule)
        if training.due(cfg.train.validate_every):
            training.validated(**validate_joined(run, average.module, samples, aligner))


def bend(training, cfg):
    """The mesh on the refined homographies of photographed pairs, no labels at all. The rest is frozen; --weights
    brings it. Every fifth of the pairs that may train is held out and chooses the step."""
    run = training.run
    expect_start(training)
    if cfg.model.arch != "small":
        raise UserError(f"stage=mesh stands on the features of the small homography network: model.arch="
                        f"{cfg.model.arch}: small was expected: leave model.arch out, and give weights that have it")
    pairs = read_photographed(cfg.data.root, "training")
    places = trainable(pairs)
    held_out = places[4::5] or places
    samples = MeshTasks(pairs, [place for place in places if place not in held_out] or places, cfg.seed)
    training.arguments = dict(cfg.model) | {"mesh": True}
    model, average, optimizer, schedule = prepare(training, cfg, "mesh")
    overlaps = Overlaps(run, model, pairs)
    for task in training.steps(samples, steps=cfg.train.steps, batch=cfg.train.batch_size, stage="mesh",
                               model=model, optimizer=optimizer, schedule=schedule, average=average):
        seen, known = overlaps.batch(task)
        training.descend(optimizer, cfg.train.clip, **mesh_terms(model(known, start=task.start), seen, cfg.train))
        after_step(model, average, schedule)
        if training.due(cfg.train.validate_every):
            training.validated(**validate_mesh(run, average.module, overlaps, held_out[:cfg.train.validate_pairs]))


# ---- what the stages share -------------------------------------------------------------------------------------------

def prepare(training, cfg, part):
    """(model, its moving average, optimiser, schedule): the other part of the model is frozen."""
    model = UDIS(**training.arguments)
    if part == "reconstruction" and cfg.model.form == "paper" and cfg.train.copy_start:
        if cfg.model.width < 9:
            raise UserError(f"train.copy_start=true needs nine feature maps: model.width={cfg.model.width}: at least 9 "
                            "were expected: set model.width=16 or train.copy_start=false")
        model.reconstruction.start_as_copy()
    start_from_parts(training, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(part))
    model = training.run.prepare(model)
    average = moving_average(bare(model), cfg.train.average)
    optimizer = torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad],
                                 lr=cfg.train.lr)
    if cfg.train.schedule == "cosine":
        return model, average, optimizer, warmup_cosine(optimizer, cfg.train.steps, cfg.train.warmup)
    return model, average, optimizer, LambdaLR(optimizer, lambda step: 0.96 ** (step / 12500))


def expect_start(training):
    """A UserError where a stage that trains no homography has none."""
    run = training.run
    if not run.options.weights and not training.resumed:
        raise UserError(f"stage={run.config.stage} needs a trained homography network to stand on: --weights was "
                        "expected: --weights checkpoints/udis/RUN/best.pt, with the RUN that trained stage=align or "
                        "stage=pretrain")


def start_from_parts(training, model):
    """Take over from --weights what fits: the homography network, of this case or of view_free_stitch (the same one),
    and stage 2 where it is of the same form and width. A run that goes on has its own weights."""
    run, wanted = training.run, training.run.options.weights
    if not wanted or training.resumed:
        return
    content = checkpoints.load(wanted) if Path(wanted).is_file() else {"case": "udis"}
    state = (content["weights"] if content["case"] == "view_free_stitch"
             else checkpoints.find("udis", run.name, wanted).state)
    fits = {}
    for name, part in model.named_children():                          # without a mesh there is none among them
        shapes = {key: value.shape for key, value in part.state_dict(prefix=name + ".").items()}
        there = {key: value.float() for key, value in state.items() if key.startswith(name + ".")}
        if {key: value.shape for key, value in there.items()} == shapes:
            fits |= there
        elif name == "homography":
            raise UserError(f"{wanted} holds another homography network than model.arch={run.config.model.arch}: "
                            "weights of the same network were expected: give others, or set model.arch")
    model.load_state_dict(fits, strict=False)
    parts = sorted({key.split(".")[0] for key in fits})
    run.say(f"starting from {wanted}: {' and '.join(parts)}")


def after_step(model, average, schedule):
    schedule.step()
    average.update_parameters(bare(model))


class Aligner:
    """Warps of pairs at the homography of stage 1, refined by the pictures, with train.warp=mesh bent by them as well;
    found once per pair, since stage 1 is frozen."""

    def __init__(self, run, model):
        self.run, self.model, self.known = run, bare(model).homography, {}

    def warps(self, views):
        """Warps of one pair, TwoViews with a batch of one."""
        name = views.name[0]
        pictures = [to_bytes(picture[0].float().cpu()) for picture in (views.a, views.b)]
        if name not in self.known:
            self.known[name] = self.align(*pictures)
        warps = bent_domain(*pictures, self.known[name])
        return type(warps)(*(each.to(self.run.device) for each in warps))

    def align(self, a, b):
        """The Answer of a pair."""
        training = self.model.training
        found = network_estimate(self.model.eval(), a, b, self.run.device)
        self.model.train(training)
        H_ba = refine_starts(a, b, [Answer(found.H_ba), Answer(IDENTITY)]).H_ba
        if H_ba is None:
            return Answer(IDENTITY)
        return Answer(H_ba, mesh=bend_by_flow(a, b, H_ba.numpy()) if self.run.config.train.warp == "mesh" else None)


class Overlaps:
    """What the mesh network sees of pairs on their refined homographies: made once per pair and order of its pictures,
    since stage 1 is frozen; the last so many are kept."""

    def __init__(self, run, model, pairs, kept=64):
        self.run, self.model, self.pairs = run, bare(model), pairs
        self.homography, self.see = lru_cache(None)(self.homography), lru_cache(kept)(self.see)

    def homography(self, place):
        """H_ba (3, 3) of a pair, refined from SIFT's, the network's and the identity: its best fit."""
        a, b = self.pairs.pair(place)
        training = self.model.training
        starts = [by_keypoints(a, b, SIFT), Answer(network_estimate(self.model.eval(), a, b, self.run.device).H_ba),
                  Answer(IDENTITY)]
        self.model.train(training)
        H_ba = refine_starts(a, b, starts).H_ba
        return IDENTITY if H_ba is None else H_ba

    def see(self, place, exchange):
        """(Overlap, OverlapFeatures) of a pair, a batch of one."""
        a, b = self.pairs.pair(place)
        H_ba = self.homography(place)
        if exchange:
            a, b, H_ba = b, a, torch.linalg.inv(H_ba)
        straight = flat(a, b, H_ba.numpy()) or flat(a, b, IDENTITY.numpy())
        if straight is None:
            raise UserError(f"the pictures of the pair {self.pairs.names[place]} are too small to be bent: at least "
                            "512 common pixels were expected: remove the pair")
        seen = Overlap(*(each.to(self.run.device) for each in crop_overlap(a, b, straight)))
        return seen, extract_features(self.model.homography.features, seen)

    def batch(self, task):
        """(Overlap, OverlapFeatures) of a batch of Tasks."""
        found = [self.see(*each) for each in zip(task.place.tolist(), task.exchange.tolist())]
        return tuple(type(parts[0])(*map(torch.cat, zip(*parts))) for parts in zip(*found))


def turn(warps):
    """The warps mirrored, upside down, transposed, and with their roles exchanged, each half of the time (torch's
    generator)."""
    swap, transpose, upside_down, mirror = (torch.rand(4) < 0.5).tolist()
    if swap:
        warps = warps.exchange()
    axes = [axis for axis, wanted in ((2, upside_down), (3, mirror)) if wanted]
    return type(warps)(*((each.mT if transpose else each).flip(axes).contiguous() for each in warps))


# ---- validation ------------------------------------------------------------------------------------------------------

@torch.inference_mode()
def validate_offsets(run, model, pairs):
    """Mean and median of the offsets' error over synthetic pairs of held-out photographs, pixels, each at most 100."""
    model.eval()
    errors = []
    for place in range(len(pairs)):
        pair = pairs.pair(place).tensors()
        offsets = model(pair.a[None].to(run.device), pair.b[None].to(run.device)).offsets.cpu()
        errors.append((offsets - pair.offsets).square().mean().sqrt().clamp(max=100))
    model.train()
    return {"rmse_4pt": torch.stack(errors).mean().item(), "rmse_4pt_median": torch.stack(errors).median().item()}


@torch.inference_mode()
def validate_warps(run, model, pairs, places):
    """Mean psnr_overlap of the network alone, at full size, over the pairs that train (uncropped); an impossible answer
    counts as 0 dB."""
    model.eval()
    scores = []
    for place in places:
        a, b = pairs.pair(place)
        values = measure_alignment(Answer(network_estimate(model, a, b, run.device).H_ba), a, b)
        scores.append(values.get("psnr_overlap", 0.0))
    model.train()
    return {"psnr_overlap": sum(scores) / len(scores), "failures": scores.count(0.0)}


@torch.inference_mode()
def validate_mesh(run, model, overlaps, places):
    """Mean psnr_overlap of the learnt mesh over held-out pairs at full size, and what it gains on the homography."""
    model.eval()
    scores = []
    for place in places:
        a, b = overlaps.pairs.pair(place)
        H_ba = overlaps.homography(place)
        mesh = bend_learnt(model, a, b, H_ba.numpy(), run.device)
        scores.append([measure_alignment(answer, a, b).get("psnr_overlap", 0.0)
                       for answer in (Answer(H_ba, mesh=mesh), Answer(H_ba))])
    model.train()
    bent, straight = torch.tensor(scores, dtype=torch.float64).mean(dim=0).tolist()
    return {"psnr_overlap": bent, "gain": bent - straight}


@torch.inference_mode()
def validate_joined(run, model, samples, aligner):
    """Means over the first pairs that train. form=mask is chosen by ghost plus seam_step, form=paper, which can lose
    content, by content_psnr."""
    model.eval()
    values = []
    for place in range(min(run.config.train.validate_pairs, len(samples))):
        views = samples[0, place]
        warps = aligner.warps(views._replace(a=views.a[None], b=views.b[None], name=[views.name]))
        warps = type(warps)(*(each.cpu() for each in warps))
        made = join_all(model, warps, run.device)["reconstructed"]
        values.append(measure_joined(made._replace(picture=to_tensor(to_bytes(made.picture[0]))[None]), warps))
    model.train()
    means = {name: sum(map(itemgetter(name), values)) / len(values) for name in ("content_psnr", "ghost", "seam_step")}
    if run.config.model.form == "paper":
        return means
    return {"join_cost": means["ghost"] + means["seam_step"], "ghost": means["ghost"], "seam_step": means["seam_step"]}


if __name__ == "__main__":
    sys.exit(start(main))
