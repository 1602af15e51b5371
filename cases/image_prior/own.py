"""One's own pictures (--input) and masks (--mask): un-blended where the mark lets through, else filled by the prior."""
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cases.image_prior.data import HOLE, Task, expect_mask, read_mask
from cases.image_prior.prior import Prior, place_in_fit, take_step
from cases.image_prior.unblend import Nothing, estimate, lost, most_together, remove, unblend_estimated
from common.base.errors import UserError, join_some, warn
from common.base.progress import watch
from common.data.formats import IMAGE_SUFFIXES
from common.data.images import list_images, open_picture, picture_files, to_bytes, to_tensor, write_image
from common.experiment import checkpoints, own

ROW = "restored"


def restore_own(run):
    """Every picture of --input with its mask, written where --output says, else into results/."""
    cfg = run.config
    run.ignore_weights()
    paths, items = picture_files(run.options.input)
    keep = [place for place, path in enumerate(paths) if not is_mask(path, cfg.test.mask)]
    masks_given, paths, items = ([path for path in paths if is_mask(path, cfg.test.mask)],
                                 [paths[place] for place in keep], [items[place] for place in keep])
    if not paths:
        raise UserError(f"no pictures but masks ({HOLE}): {join_some(run.options.input)}: pictures to restore were "
                        "expected: name them")
    masks = {path: mask_of(cfg.test.mask, path) for path in paths} if cfg.task != "denoise" else {}
    name_unused(masks_given, masks.values())
    targets = run.settle([own.picture(path) for path in paths], list(filter(None, masks.values())))
    weights = checkpoints.Weights(Path("none"), dict(cfg.model), {}, "", "a network for each picture")
    files = [*paths, *filter(None, dict.fromkeys(masks.values()))]
    results = run.own_results(weights, files, rows=[ROW], metrics=[])
    mark, marked = share_mark(run, paths, masks)

    def restore(place):
        path = paths[place]
        source = open_picture(path)
        pixels = to_bytes(source.rgb)
        mask = None if cfg.task == "denoise" else own_mask(masks[path], path, source)
        if path in marked:
            answer, said = repair(run, pixels, remove(pixels, mask, mark), mark, items[place],
                                  "un-blended with the others")
            return source, answer, mask, said
        wanted = cfg.test.answer if cfg.task == "watermark" and masks[path] else "prior"
        answer, said = answer_of(run, pixels, mask, items[place], wanted)
        return source, answer, mask, said
    for place, item, (source, answer, mask, said) in results.remaining(items, restore, "restoring",
                                                                       again=bool(run.options.output)):
        target = targets[place] or results.image_path(item, ROW)
        picture = to_tensor(answer)
        if mask is not None:                                  # what is not masked keeps all its bits
            picture = torch.where(torch.from_numpy(mask.copy()), picture, source.rgb)
        opaque = mask is not None and masks[paths[place]] is None
        write_image(target, picture, like=source._replace(alpha=None if opaque else source.alpha))
        results.add(item, {ROW: ({}, None if targets[place] else target)})
        run.say(f"{item}: {said}")
    run.finish_test(results, weights, items, inputs=dict(zip(items, map(str, paths))))
    run.say(f"{len(items) - len(results.failures())} picture(s) restored: "
            f"{run.options.output or results.final / 'images' / ROW}")
    return results.expect_no_failures()


def is_mask(path, given):
    """Whether a file of --input is a mask, by its name or because test.mask names it, and no picture to restore."""
    return path.stem.endswith(HOLE) or (given is not None and Path(given).is_file() and path.samefile(given))


def name_unused(given, used):
    """A warning for the masks among the inputs that no picture takes."""
    used = {path.resolve() for path in used if path}
    unused = [path for path in given if path.resolve() not in used]
    if unused:
        warn(f"masks that are not used: {join_some(unused)}: NAME{HOLE} beside a picture NAME is its mask, where "
             "--mask names no other")


def mask_of(given, path):
    """The mask's file of a picture: test.mask, of a folder the one of the picture's name, or NAME_mask beside it; None:
    the picture's own transparency."""
    if given is not None and not Path(given).exists():
        raise UserError(f"no such file or folder: {given}: a mask, or a folder of masks, was expected: check --mask")
    if given is not None and not Path(given).is_dir():
        return Path(given)
    if given is None:
        beside = [path.with_name(f"{path.stem}{HOLE}{suffix}") for suffix in IMAGE_SUFFIXES]
        named = [mask for mask in beside if mask.exists()]
    else:
        named = [mask for mask in list_images(Path(given)) if mask.stem in (path.stem, path.stem + HOLE)]
    if len(named) > 1:
        raise UserError(f"several masks for {path.name}: {join_some(named)}: one was expected: remove the others, or "
                        "name one with --mask")
    if not named and given is not None:
        raise UserError(f"no mask for {path.name}: {given}: a picture of that name, or {path.stem}{HOLE}.png, was "
                        "expected: add it, or name one mask for all")
    return named[0] if named else None


def own_mask(file, path, source):
    """bool (H, W) of a picture: from its mask's file, or from its own transparency."""
    if file is not None:
        return read_mask(file, tuple(source.rgb.shape[1:]))
    if source.alpha is None:
        raise UserError(f"no mask for {path}: a picture of the same size, white or transparent where something is to "
                        "be removed, was expected: give --mask mask.png, or make those places transparent")
    return expect_mask((source.alpha[0] < 0.5).numpy(), path)


def share_mark(run, paths, masks):
    """(the Mark, {path that carries it}) where pictures of one size carry one mark (one mask) that lets through;
    else (None, empty)."""
    cfg = run.config
    if cfg.task != "watermark" or cfg.test.answer == "prior" or len(paths) < 2 or len(set(masks.values())) > 1:
        return None, set()
    sizes, first = {}, []
    for path in paths:
        try:
            pixels = to_bytes(open_picture(path).rgb)
        except UserError:                                     # named when its turn comes
            continue
        sizes[path] = pixels.shape[:2]
        if len(first) < most_together(pixels[..., 0]):
            first.append(pixels)
    if len(set(sizes.values())) != 1 or None in masks.values() or len(sizes) < 2:
        run.say("pictures of several sizes, or without one common mask: each is treated by itself")
        return None, set()
    mask = read_mask(next(iter(masks.values())), first[0].shape[:2])
    try:
        mark, _ = estimate(first, mask, cfg.test.alpha)
    except Nothing as problem:
        run.say(f"the mark of all pictures cannot be undone: {problem}")
        return None, set()
    run.say(f"one mark on {len(sizes)} pictures, alpha {mark.strength:.2f}")
    return mark, set(sizes)


def answer_of(run, pixels, mask, item, wanted, look=None):
    """(restored picture uint8 (H, W, 3), how) of one picture; wanted: auto, prior or unblend; look: as fit_own's."""
    if wanted != "prior":
        try:
            [picture], mark = unblend_estimated([pixels], mask, run.config.test.alpha)
            said = f"un-blended, alpha {mark.strength:.2f} {'as told' if run.config.test.alpha else 'estimated'}"
            return repair(run, pixels, picture, mark, item, said, look)
        except Nothing as problem:
            if wanted == "unblend":
                raise UserError(f"{item}: {problem}: a half-transparent mark was expected: say "
                                "test.answer=prior") from problem
    how = "filled by the prior" if mask is not None else "denoised by the prior"
    return fit_own(run, pixels, mask, item, look), how


def repair(run, given, undone, mark, item, said, look=None):
    """(picture, how): an un-blended picture whose lost pixels the prior fills, if test.repair asks for it."""
    gone = lost(given, mark)
    if not run.config.test.repair or not gone.any():
        return undone, said
    filled = fit_own(run, undone, gone, item, look)
    return np.where(gone[..., None], filled, undone), f"{said}; {gone.sum()} lost pixels filled by the prior"


def fit_own(run, pixels, mask, item, look=None):
    """The prior's averaged picture at the size of the original, computed with at most test.size pixels a side.

    look(step, picture): is called after each step with the network's present picture, (1, 3, h, w) in [0, 1].
    """
    cfg = run.config
    full, longest = pixels.shape[:2], cfg.test.size or max(pixels.shape[:2])
    shrink = min(1.0, longest / max(full))
    size = tuple(max(1, round(shrink * side)) for side in full)
    if shrink < 1 and mask is None:
        run.say(f"{item} is denoised at {size[1]}x{size[0]} pixels and enlarged again: test.size=0 keeps its size")
    small, hole = resize(pixels, size), np.zeros(size, bool)
    if mask is not None:
        covered = Image.fromarray((255 * mask).astype(np.uint8)).resize(size[::-1], Image.Resampling.BOX)
        hole = np.asarray(covered) > 0                        # a pixel that is masked in part is not known
    prior = Prior(cfg).to(run.device, memory_format=torch.channels_last)
    smallest = 2 * prior.network.multiple
    if min(size) < smallest:
        raise UserError(f"{item} has {size[1]}x{size[0]} pixels: at least {smallest} a side were expected for a "
                        f"network of {len(cfg.model.widths)} levels: give fewer model.widths and model.skips")
    prior.look_at(Task(item, small, small, hole, np.zeros(size), np.zeros(3)), 0, run.device)
    optimizer = torch.optim.Adam(prior.network.parameters(), lr=cfg.train.lr)
    for present in watch(range(1, cfg.train.fits * cfg.train.steps + 1), item):
        fit, step = place_in_fit(present, cfg.train.steps)
        if step == 1:
            prior.begin(fit)
        if prior.exhausted(step):
            continue
        check = step % cfg.train.validate_every == 0 or step == cfg.train.steps
        take_step(prior, optimizer, step, check, run.autocast)
        if look:
            look(present, prior.last)
    return resize(prior.finish(item)[0], full)


def resize(pixels, size):
    """uint8 (H, W, 3) at size (h, w) by Lanczos."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.LANCZOS)).copy()
