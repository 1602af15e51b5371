"""The deep image prior as a case: networks, tasks, the fit and its resuming, rows, own pictures, mistakes."""
import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tolerances import near

from cases.image_prior import benchmark, data, losses, test, train
from cases.image_prior.model import PriorNetwork, crop, make_input
from cases.image_prior.prior import Prior, place_in_fit, take_step
from common import metrics
from common.base import paths
from common.base.errors import Negative, UserError
from common.data.images import open_picture, read_pixels, to_bytes
from common.experiment.settings import Settings, resolve
from common.experiment.training import Training

SMALL = ["data.size=64", "model.widths=[8,8]", "model.skips=[4,4]", "train.steps=12", "train.fits=2",
         "train.validate_every=4", "train.log_every=4", "train.save_every=3", "train.patience=0"]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """results/ and checkpoints/ of a test of its own, and three smooth pictures in pictures/."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.fromarray(smooth(number)).save(tmp_path / "pictures" / f"p{number}.png")
    return tmp_path


def smooth(number, size=(80, 96)):
    """A smooth random picture, uint8 (h, w, 3)."""
    coarse = torch.from_numpy(np.random.default_rng(number).random((1, 3, 6, 6), np.float32))
    picture = torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0].clamp(0, 1)
    return (255 * picture.permute(1, 2, 0).numpy()).astype(np.uint8)


def words(folders, *others):
    return [f"data.root={folders / 'pictures'}", *SMALL, *others]


# ---- networks --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("preset", "count"), [(None, 348_631), ("text", 3_002_627), ("library", 2_996_467),
                                               ("vase", 2_157_955), ("denoise", 2_217_831), ("course", 4_257_147)])
def test_networks_have_the_papers_parameters(preset, count):
    settings = resolve("image_prior", [f"preset={preset}"] if preset else []).config.model
    network = PriorNetwork(**{name: value for name, value in settings.items() if name != "input"})
    assert sum(map(torch.numel, network.parameters())) == count


def test_picture_sizes_need_not_be_multiples():
    network = PriorNetwork(4, (8, 8, 8), (2, 2, 2), upsample="deconvolution")
    z = make_input("noise", 4, (21, 35), network.multiple)
    assert z.shape == (1, 4, 24, 40) and crop(network(z), (21, 35)).shape == (1, 3, 21, 35)
    assert 0 <= z.min() and z.max() <= 0.1
    grid = make_input("meshgrid", 2, (16, 16), 8)
    assert grid[0, 0, 0].tolist() == grid[0, 1, :, 0].tolist() and grid.min() == 0 and grid.max() == 1


def test_the_loss_sees_the_known_pixels_alone():
    x, given, known = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), (torch.rand(1, 1, 8, 8) > 0.5).float()
    hidden = torch.where(known > 0, given, torch.rand_like(given))
    for loss in (losses.square, losses.absolute):
        assert torch.equal(loss(x, given, known), loss(x, hidden, known))
    both = known.bool().expand(1, 3, 8, 8)
    assert near(losses.square(x, given, known), (x - given)[both].square().mean())


# ---- tasks -----------------------------------------------------------------------------------------------------------

def test_marks_depend_on_their_number_alone_and_cover_15_to_35_percent():
    for number in range(9):
        mark = data.draw_mark((256, 256), number)
        assert np.array_equal(mark, data.draw_mark((256, 256), number)) and 0.15 <= (mark > 0).mean() <= 0.35
    assert not np.array_equal(mark, data.draw_mark((256, 256), 0))


def test_tasks_say_what_is_given(folders):
    cfg = resolve("image_prior", words(folders)).config
    task = data.Tasks(cfg).task(1)
    assert task.true.shape == (64, 64, 3) and np.array_equal(task.given[~task.mask], task.true[~task.mask])
    deepest = task.alpha > 0.599
    assert np.allclose(task.given[deepest], 0.4 * task.true[deepest] + 0.6 * 255, atol=1)
    noisy = data.Tasks(resolve("image_prior", words(folders, "task=denoise")).config).task(0)
    assert not noisy.mask.any() and np.std(noisy.given.astype(float) - noisy.true) == pytest.approx(25, rel=0.15)
    hole = data.Tasks(resolve("image_prior", words(folders, "task=inpaint")).config).task(0)
    assert (hole.given[hole.mask] == 0).all()


def test_a_mask_beside_a_picture_is_its_hole(folders):
    mask = np.full((80, 96), 255, np.uint8)
    mask[30:50, 40:60] = 0
    Image.fromarray(mask).save(folders / "pictures" / "p1_mask.png")
    given = [word for word in words(folders, "task=inpaint", "data.size=0") if word != "data.size=64"]
    tasks = data.Tasks(resolve("image_prior", given).config)
    assert tasks.names == ["p0", "p1", "p2"] and np.array_equal(tasks.task(1).mask, mask == 0)


def test_names_choose_pictures(folders):
    settings = resolve("image_prior", words(folders, "data.names=[p2, astronaut]")).config
    found, names = data.find_pictures(settings.data)
    assert names == ["p2", "astronaut"] and found[1].name == "astronaut.png"
    for given, said in (("[p9]", "p9"), ("[p1, p1]", "twice")):
        with pytest.raises(UserError, match=said):
            data.find_pictures(resolve("image_prior", words(folders, f"data.names={given}")).config.data)


def test_psnr_of_the_mask_by_hand():
    a, b, mask = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8), np.eye(2, dtype=bool)
    b[0, 0], b[0, 1] = 10, 99
    assert metrics.psnr_mask(a, b, mask) == pytest.approx(10 * np.log10(255**2 / 50))
    assert np.isnan(metrics.psnr_mask(a, b, ~(mask | ~mask))) and metrics.psnr_mask(a, a, mask) == np.inf


# ---- the fit ---------------------------------------------------------------------------------------------------------

def test_the_network_fits_a_photograph_sooner_than_the_same_shuffled():
    cfg = resolve("image_prior", ["model.widths=[16,16]", "model.skips=[4,4]", "train.held_out=0"]).config
    true = smooth(0, (32, 32))
    shuffled = np.random.default_rng(0).permutation(true.reshape(-1, 3)).reshape(true.shape)
    ends = []
    for picture in (true, shuffled):
        prior = Prior(cfg)
        nowhere = np.zeros((32, 32), bool)
        prior.look_at(data.Task("x", picture, picture, nowhere, np.zeros((32, 32)), np.zeros(3)), 0, "cpu")
        prior.begin()
        optimizer = torch.optim.Adam(prior.network.parameters(), lr=0.01)
        for _ in range(40):
            loss = sum(prior.terms().values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends.append(loss.item())
    assert ends[0] < 0.5 * ends[1]


def test_held_out_pixels_are_known_and_not_fitted(folders):
    cfg = resolve("image_prior", words(folders, "train.held_out=0.2")).config
    prior, task = Prior(cfg), data.Tasks(cfg).task(0)
    prior.look_at(task, 0, "cpu")
    held, known = prior.held[0, 0].numpy() > 0, prior.known[0, 0].numpy() > 0
    assert not (held & known).any() and np.array_equal(held | known, ~task.mask)
    assert held.sum() / (~task.mask).sum() == pytest.approx(0.2, abs=0.05)


def test_a_picture_is_the_mean_of_fits_from_other_weights(folders):
    cfg = resolve("image_prior", words(folders)).config
    prior, came_to = Prior(cfg), []
    prior.look_at(data.Tasks(cfg).task(0), 0, "cpu")
    for present in range(1, 25):
        fit, step = place_in_fit(present, cfg.train.steps)
        if step == 1:
            prior.begin(fit)
        take_step(prior, torch.optim.Adam(prior.network.parameters(), lr=0.01), step, check=step % 4 == 0)
        if step == 12:
            came_to.append(prior.best[0])
    averaged, last = prior.finish("p0")
    assert np.array_equal(averaged, to_bytes((came_to[0] + came_to[1]) / 2))
    assert not torch.equal(*came_to) and not np.array_equal(averaged, to_bytes(came_to[1]))
    assert np.array_equal(last, to_bytes(prior.best_last[0]))


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", [("p0", 5), ("p1", 1), ("p1", 12), ("p2", 19)])
def test_killed_and_resumed_within_any_picture_is_never_stopped(folders, monkeypatch, moment):
    train.main([*words(folders), "--name", "whole"])
    after = Training._after_step

    def die(self, progress):
        if (self.stage, self.step) == moment:
            raise Killed
        after(self, progress)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_after_step", die)
        with pytest.raises(Killed):
            train.main([*words(folders), "--name", "killed"])
    train.main([*words(folders), "--name", "killed"])
    for kind in ("last", "averaged"):
        for number in range(3):
            one, other = (folders / "results/image_prior" / name / f"train/images/{kind}/p{number}.png"
                          for name in ("whole", "killed"))
            assert one.read_bytes() == other.read_bytes()
    one, other = (json.loads((folders / "results/image_prior" / name / "manifest.json").read_text())
                  for name in ("whole", "killed"))
    assert one == other


# ---- rows ------------------------------------------------------------------------------------------------------------

def metrics_of(folders, name, task):
    return json.loads((folders / "results/image_prior" / name / "test" / task / "metrics.json").read_text())


def test_all_rows_of_a_watermark(folders, capsys):
    train.main([*words(folders), "--name", "marks", "--weights", "mine.pt"])
    assert "--weights mine.pt is not used" in capsys.readouterr().err
    test.main([*words(folders), "--name", "marks"])
    found = metrics_of(folders, "marks", "watermark")
    assert list(found) == ["as_is", "telea", "navier_stokes", "biharmonic", "nlm", "tv", "dip", "dip_averaged",
                           "unblend_known", "unblend_estimated"]
    assert all(values["count"] == 3 for values in found.values())
    assert found["unblend_known"]["psnr_mask"] > 45 and found["dip"]["psnr_mask"] > found["as_is"]["psnr_mask"]
    item = folders / "results/image_prior/marks/test/watermark/images/dip/p0.png"
    task = data.Tasks(resolve("image_prior", words(folders)).config).task(0)
    assert np.array_equal(read_pixels(item)[~task.mask], task.given[~task.mask])
    with pytest.raises(UserError, match="other pixels"):
        test.main([*words(folders, "data.alpha=0.5"), "--name", "marks"])
    with pytest.raises(UserError, match="does not hold"):
        test.main([*words(folders, "data.names=[astronaut]"), "--name", "marks"])


def test_an_opaque_mark_has_no_un_blended_row_and_noise_no_mask(folders):
    for name, more in (("opaque", ["data.alpha=1.0"]), ("noise", ["task=denoise"])):
        train.main([*words(folders, *more, "data.names=[p0]"), "--name", name])
        test.main([*words(folders, *more, "data.names=[p0]"), "--name", name])
    opaque = metrics_of(folders, "opaque", "watermark")
    assert "psnr_mask" not in opaque["unblend_known"] and "psnr_mask" in opaque["dip"]
    lines = csv.DictReader((folders / "results/image_prior/opaque/test/watermark/items.csv").open())
    assert any("opaque" in line["reason"] for line in lines)
    noise = metrics_of(folders, "noise", "denoise")
    assert list(noise) == ["as_is", "nlm", "tv", "dip", "dip_averaged"] and "psnr_mask" not in noise["dip"]
    assert noise["nlm"]["psnr"] > noise["as_is"]["psnr"]


# ---- one's own pictures ----------------------------------------------------------------------------------------------

def mask_file(folder, size=(80, 96), box=(20, 30, 40, 60), mode="white"):
    """A mask's file: a box that goes, white or transparent."""
    goes = np.zeros(size, np.uint8)
    goes[box[0]:box[2], box[1]:box[3]] = 255
    path = folder / f"mask_{mode}.png"
    Image.fromarray(goes if mode == "white" else np.dstack([0 * goes] * 3 + [255 - goes])).save(path)
    return path


@pytest.mark.parametrize("mode", ["white", "transparent"])
def test_own_pictures_keep_what_is_not_masked(folders, mode):
    mask, output = mask_file(folders, mode=mode), folders / "out.png"
    test.main([*SMALL, "--input", str(folders / "pictures/p0.png"), "--mask", str(mask), "--output", str(output),
               "test.answer=prior"])
    before, after = read_pixels(folders / "pictures/p0.png"), read_pixels(output)
    inside = np.zeros(before.shape[:2], bool)
    inside[20:40, 30:60] = True
    assert np.array_equal(before[~inside], after[~inside]) and not np.array_equal(before[inside], after[inside])


def test_own_transparent_picture_comes_out_whole(folders):
    pixels, alpha = smooth(5), np.full((80, 96), 255, np.uint8)
    alpha[10:30, 10:30] = 0
    Image.fromarray(np.dstack([pixels, alpha])).save(folders / "torn.png")
    test.main([*SMALL, "--input", str(folders / "torn.png"), "--output", str(folders / "whole.png")])
    assert open_picture(folders / "whole.png").alpha is None


def test_a_folder_with_one_mark_is_un_blended_together(folders, capsys):
    mark = data.draw_mark((160, 160), 3)
    (folders / "marked").mkdir()
    for number in range(3):
        marked = data.blend(smooth(number, (160, 160)), 0.5 * mark, np.full(3, 255.0))
        Image.fromarray(marked).save(folders / "marked" / f"{number}.png")
    Image.fromarray((255 * (mark > 0)).astype(np.uint8)).save(folders / "mark.png")
    test.main([*SMALL, "--input", str(folders / "marked"), "--mask", str(folders / "mark.png"), "--output",
               str(folders / "clean") + "/"])
    assert "one mark on 3 pictures" in capsys.readouterr().out
    for number in range(3):
        clean = read_pixels(folders / "clean" / f"{number}.png")
        assert metrics.psnr_mask(clean, smooth(number, (160, 160)), mark > 0) > 30


def test_the_prior_fills_what_un_blending_lost(folders, capsys):
    coverage, true = data.draw_mark((96, 96), 3), smooth(1, (96, 96))
    Image.fromarray(data.blend(true, 0.93 * coverage, np.full(3, 255.0))).save(folders / "marked.png")
    Image.fromarray((255 * (coverage > 0)).astype(np.uint8)).save(folders / "mark.png")
    for word in ("false", "true"):
        test.main([*SMALL, "--input", str(folders / "marked.png"), "--mask", str(folders / "mark.png"), "--output",
                   str(folders / f"{word}.png"), f"test.repair={word}", "test.alpha=0.93"])
        said = capsys.readouterr().out
        assert "alpha 0.93 as told" in said and ("lost pixels filled by the prior" in said) == (word == "true")
    changed = (read_pixels(folders / "false.png") != read_pixels(folders / "true.png")).any(axis=2)
    assert changed.any() and not changed[coverage == 0].any() and coverage[changed].mean() > 0.5, (
        changed.sum(), coverage[changed].mean())


def test_mistakes_about_masks_have_one_message(folders):
    picture = str(folders / "pictures/p0.png")
    empty, full, wide = (folders / f"{name}.png" for name in ("empty", "full", "wide"))
    Image.fromarray(np.zeros((80, 96), np.uint8)).save(empty)
    Image.fromarray(np.full((80, 96), 255, np.uint8)).save(full)
    Image.fromarray(np.full((80, 200), 255, np.uint8)).save(wide)
    for mask, said in ((empty, "covers nothing"), (full, "100 %"), (wide, "another shape"), (None, "no mask for"),
                       (folders / "no.png", "check --mask")):
        given = ["--mask", str(mask)] if mask else []
        with pytest.raises((UserError, Negative), match=said):
            test.main([*SMALL, "--fresh", "--input", picture, *given, "--output", str(folders / "o.png")])


def own(folders, *inputs, answer="prior"):
    """Restore pictures to folders/out/; the names there."""
    test.main([*SMALL, f"test.answer={answer}", "--fresh", "--input", *map(str, inputs), "--output",
               str(folders / "out") + "/"])
    return sorted(path.name for path in (folders / "out").iterdir())


def test_a_mask_is_never_taken_for_a_picture_and_one_without_a_picture_is_named(folders, capsys):
    mask, place = mask_file(folders), folders / "both"
    place.mkdir()
    for name in ("p0.png", "p1.png"):
        shutil.copy(folders / "pictures" / name, place)
    Image.open(mask).save(place / "p0_mask.webp")
    shutil.copy(mask, place / "p1_mask.png")
    shutil.copy(mask, place / "other_mask.png")
    assert own(folders, place) == ["p0.png", "p1.png"]
    said = capsys.readouterr().err
    assert "not used" in said and "other_mask.png" in said and "p0_mask" not in said
    made = own(folders, place / "p0.png", mask, "--mask", mask, "--weights", "release")
    assert made == ["p0.png", "p1.png"], "the mask is no picture"
    assert "--weights release is not used" in capsys.readouterr().err
    Image.open(mask).save(place / "p0_mask.png")
    with pytest.raises(UserError, match="several masks for p0.png"):
        own(folders, place / "p0.png")


def test_a_name_that_two_files_have_is_refused(folders):
    Image.fromarray(smooth(9)).save(folders / "pictures" / "p1.bmp")
    every = data.find_pictures(Settings(root=folders / "pictures", names=[]))
    assert len(every[0]) == len(set(every[1])) == 4, "without names all are taken"
    with pytest.raises(UserError, match="several files: .*p1"):
        train.main([*words(folders, "data.names=[p1]"), "--name", "odd"])


@pytest.mark.parametrize(("word", "said"), [("model.skips=[4]", "one of each"), ("model.input=meshgrid", "two maps"),
                                            ("model.kernel_up=4", "odd")])
def test_networks_that_cannot_be_are_refused(folders, word, said):
    given = [each for each in words(folders, word) if not each.startswith("model.skips=[4,") or "skips" not in word]
    with pytest.raises(UserError, match=said):
        train.main([*given, "--name", "odd"])


def test_a_tiny_picture_is_refused(folders):
    Image.fromarray(smooth(0, (20, 24))).save(folders / "tiny.png")
    mask = mask_file(folders, (20, 24), (5, 5, 9, 9))
    with pytest.raises((UserError, Negative), match="at least 64 a side"):
        test.main(["--input", str(folders / "tiny.png"), "--mask", str(mask), "--output", str(folders / "o.png"),
                   "test.answer=prior"])


def test_the_benchmark_steps_alike_in_every_layout(monkeypatch):
    monkeypatch.setattr(benchmark, "SIDE", 64)
    first, second = (benchmark.step_of(layout)().item() for layout in (torch.channels_last, torch.contiguous_format))
    assert near(torch.tensor(first), torch.tensor(second))
