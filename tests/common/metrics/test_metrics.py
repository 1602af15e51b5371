"""Metrics of pictures, and their table: properties, sums by hand, golden values, scikit-image and OpenCV as peers."""
import json
import math
import sys

import cv2
import numpy as np
import pytest
import torch
from pictures import image, noise, photo
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from tolerances import near

from common import metrics
from common.metrics.niqe import Parameters, niqe
from common.metrics.ssim import ssim_map

PEER = 1e-6                                               # of scikit-image: ours are float32 in [0, 1], its levels
GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
EVAL15 = [f"{scene}.png" for scene in (1, 22, 23, 55, 79, 111, 146, 179, 493, 547, 665, 669, 748, 778, 780)]


@pytest.fixture(autouse=True)
def one_thread(fixed_threads):
    torch.set_num_threads(1)                              # small pictures: a second thread would only be waited for


def tensor(*pictures):
    return torch.stack([torch.from_numpy(picture).permute(2, 0, 1).float() / 255 for picture in pictures])


def levels(picture):
    return np.floor(np.clip(picture, 0, 255) + 0.5).astype(np.uint8)


def blurred(rgb8, sigma):
    return levels(gaussian_filter(rgb8.astype(np.float64), (sigma, sigma, 0)))


def gamma22(rgb8):
    return levels(255 * (rgb8 / 255) ** (1 / 2.2))


# ---- the table ----

def test_every_metric_has_a_direction_a_tolerance_and_digits():
    for name, metric in metrics.METRICS.items():
        assert metric.direction in ("higher", "lower", "two-sided"), name
        assert metric.tolerance >= 0 and metric.digits in range(7), name


def test_a_metric_that_is_not_in_the_table_is_two_sided_and_strict():
    assert metrics.metric_of("psnr").direction == "higher"
    assert metrics.metric_of("niqe").direction == "lower"
    assert metrics.metric_of("entropy").direction == "two-sided"
    assert metrics.metric_of("nobody_knows") == metrics.UNKNOWN
    assert metrics.UNKNOWN[:2] == ("two-sided", 1e-6)


# ---- psnr ----

def test_psnr_by_hand():
    black = torch.zeros(3, 3, 4, 5)
    gray = torch.tensor([1.0, 0.1, 0.5]).view(3, 1, 1, 1).expand_as(black)
    value = metrics.psnr(black, gray)                     # squared errors 1, 1/100, 1/4
    assert value.dtype == torch.float64
    assert value.tolist() == pytest.approx([0, 20, 20 * math.log10(2)], abs=PEER)


def test_equal_pictures_have_infinite_psnr_and_ssim_one_beside_others_in_the_batch():
    a = tensor(noise(20, 20), noise(20, 20, seed=1))
    b = a.clone()
    b[1] = 1 - b[1]
    assert metrics.psnr(a, b)[0] == math.inf
    assert math.isfinite(metrics.psnr(a, b)[1])
    for measure in (metrics.ssim, metrics.ssim_gray):
        assert measure(a, b)[0].item() == pytest.approx(1, abs=1e-12)
        assert measure(a, b)[1] < 0.5


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.ssim_gray, metrics.ssim_loss])
def test_symmetric_and_a_batch_equals_its_pictures(measure):
    a, b = tensor(noise(23, 40), noise(23, 40, seed=1)), tensor(noise(23, 40, seed=2), noise(23, 40, seed=3))
    together = measure(a, b)
    assert together.shape == (2,)
    assert near(together, measure(b, a), "formula")
    assert near(together, torch.cat([measure(a[:1], b[:1]), measure(a[1:], b[1:])]), "formula")


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.ssim_gray, metrics.ssim_loss])
def test_two_shapes_are_refused_and_named(measure):
    with pytest.raises(ValueError, match=r"\(1, 3, 20, 20\) and \(1, 3, 20, 21\)"):
        measure(torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 21))
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        measure(torch.zeros(3, 20, 20), torch.zeros(3, 20, 20))


# ---- ssim ----

def test_ssim_of_two_flat_pictures_by_hand():
    a, b = 0.2, 0.6                                       # no variance: only the means' factor is left
    expected = (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
    flat = torch.ones(1, 3, 12, 11, dtype=torch.float64)
    assert metrics.ssim(a * flat, b * flat).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [(11, 11), (12, 43), (42, 74), (75, 53)])     # one position; about the strips' ends
def test_ssim_map_is_the_formula_with_a_two_dimensional_window(size):
    a, b = (torch.rand(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
            for seed in (0, 1))
    window = np.exp(-0.5 * (np.hypot(*np.mgrid[-5:6, -5:6]) / 1.5) ** 2)
    window = torch.from_numpy(window / window.sum()).expand(3, 1, 11, 11)

    def mean(x):
        return torch.nn.functional.conv2d(x, window, groups=3)

    variance_a, variance_b = mean(a * a) - mean(a) ** 2, mean(b * b) - mean(b) ** 2
    covariance = mean(a * b) - mean(a) * mean(b)
    expected = ((2 * mean(a) * mean(b) + 1e-4) / (mean(a) ** 2 + mean(b) ** 2 + 1e-4)
                * (2 * covariance + 9e-4) / (variance_a + variance_b + 9e-4))
    assert metrics.ssim_map(a, b).shape == expected.shape
    assert near(metrics.ssim_map(a, b), expected, "gradient")


def pairs_of_pictures():
    chelsea, coffee = photo("chelsea"), photo("coffee")
    yield "random", noise(61, 47), noise(61, 47, seed=1)
    yield "random, close", noise(64, 96), levels(noise(64, 96) + np.random.default_rng(2).normal(0, 3, (64, 96, 3)))
    yield "blurred photo", chelsea, blurred(chelsea, 1.5)
    yield "dark photo", levels(coffee * 0.1), coffee
    yield "noisy photo", coffee, levels(coffee + np.random.default_rng(3).normal(0, 15, coffee.shape))


@pytest.mark.parametrize("name, a, b", list(pairs_of_pictures()),
                         ids=lambda value: value if isinstance(value, str) else "")
def test_psnr_and_ssim_equal_scikit_image(name, a, b):
    x, y = tensor(a), tensor(b)
    expected = structural_similarity(a, b, channel_axis=2, **GAUSSIAN)
    gray = structural_similarity(cv2.cvtColor(a, cv2.COLOR_RGB2GRAY), cv2.cvtColor(b, cv2.COLOR_RGB2GRAY), **GAUSSIAN)
    assert metrics.psnr(x, y).item() == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=PEER)
    assert metrics.ssim(x, y).item() == pytest.approx(expected, abs=PEER)
    assert metrics.ssim_gray(x, y).item() == pytest.approx(gray, abs=PEER)
    assert metrics.ssim_loss(x, y).item() == pytest.approx(1 - expected, abs=2e-5)   # float32


def test_too_small_for_a_window_is_nan_as_a_metric_and_an_error_as_a_loss():
    a = torch.rand(2, 3, 10, 40)
    assert metrics.ssim(a, a).isnan().tolist() == [True, True]
    assert metrics.ssim_gray(a, a).isnan().all()
    assert metrics.psnr(a, a).tolist() == [math.inf] * 2
    with pytest.raises(ValueError, match="11x11 pixels, these pictures have 10x40"):
        metrics.ssim_loss(a, a)


def test_gradients_of_psnr_and_ssim_are_those_of_finite_differences():
    a, b = (torch.rand(2, 1, 12, 11, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(metrics.psnr, (a, b), fast_mode=True)
    assert torch.autograd.gradcheck(metrics.ssim, (a, b), fast_mode=True)
    assert torch.autograd.gradcheck(metrics.ssim_loss, (a, b), fast_mode=True)   # along random directions


def test_ssim_loss_has_the_inputs_precision_whatever_autocast_says():
    a = tensor(photo("chelsea")[:96, :96])
    b = (a * 0.9).requires_grad_()
    plain = metrics.ssim_loss(a, b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = metrics.ssim_loss(a, b)
    assert plain.dtype == inside.dtype == torch.float32
    assert torch.equal(plain, inside)
    assert metrics.ssim_loss(a.bfloat16(), b).dtype == torch.float32
    assert metrics.ssim_loss(a.double(), b.double()).dtype == torch.float64


def test_descending_the_loss_makes_the_pictures_alike():
    target = tensor(photo("chelsea")[100:124, 100:124])
    picture = torch.full_like(target, 0.5).requires_grad_()
    optimizer = torch.optim.Adam([picture], lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        loss = metrics.ssim_loss(picture, target).mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


# ---- gray, entropy, gt_mean ----

def test_gray_equals_opencv_in_every_pixel():
    for picture in (noise(500, 500), photo("coffee"), np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)):
        assert np.array_equal(metrics.gray8(picture), cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def test_entropy_by_hand():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert metrics.entropy(ramp) == 8
    assert metrics.entropy(ramp // 128 * 255) == 1
    flat = metrics.entropy(np.full((5, 7, 3), 9, np.uint8))
    assert str(flat) == "0.0"                             # and not -0.0, which would be written so


def test_gt_mean_by_hand():
    flat = np.full((4, 4, 3), 100, np.uint8)
    assert (metrics.gt_mean(flat, 2 * flat) == 200).all()
    assert (metrics.gt_mean(flat * 0, flat) == 0).all()   # nothing can be scaled up to the target
    halves = np.concatenate([flat // 10, flat * 2])       # 10 and 200, mean 105, to a mean of 150: 14.29 and 285.7
    assert np.unique(metrics.gt_mean(halves, flat + 50)).tolist() == [14, 255]
    assert (metrics.gt_mean(flat + 1, np.full_like(flat, 202)) == 202).all()


@pytest.mark.parametrize("measure", [metrics.entropy, metrics.noise_sigma, metrics.sharpness,
                                     lambda a: metrics.loe(a, a)])
@pytest.mark.parametrize("wrong", [np.zeros((3, 20, 20), np.uint8), np.zeros((20, 20, 3)),
                                   np.zeros((20, 20), np.uint8)])
def test_other_arrays_than_8_bit_pictures_are_refused(measure, wrong):
    with pytest.raises(ValueError, match=r"8-bit picture \(H, W, 3\), got (uint8|float64) \("):
        measure(wrong)


# ---- noise and sharpness ----

def test_noise_sigma_finds_the_sigma_of_white_noise_and_none_on_a_plane():
    rows, columns = np.mgrid[:200, :300]
    plane = (60 + rows // 4 + columns // 4)[..., None].repeat(3, axis=2)
    assert metrics.noise_sigma(levels(plane)) == 0        # steps of whole levels run along the axes or are rare
    for sigma in (4, 10, 20):
        noisy = levels(plane + np.random.default_rng(sigma).normal(0, sigma, plane.shape))
        assert metrics.noise_sigma(noisy) == pytest.approx(sigma, abs=0.04 * sigma + 0.13)   # and half a step of .25
    assert math.isnan(metrics.noise_sigma(noise(2, 50)))


def test_noise_sigma_gives_the_values_measured_on_lol(shared):
    root = shared("data/LOL/eval15")
    low, high = ([image(root / side / name) for name in EVAL15] for side in ("low", "high"))
    sets = {1.46: low, 10.9: map(metrics.gt_mean, low, high), 4.3: map(gamma22, low), 1.8: high}
    for expected, pictures in sets.items():               # dark, scaled to the target's mean, gamma 1/2.2, bright
        assert np.mean([metrics.noise_sigma(picture) for picture in pictures]) == pytest.approx(expected, abs=0.05)


def test_sharpness_falls_with_blur_and_knows_neither_exposure_nor_noise():
    picture = photo("coffee")
    sharp = metrics.sharpness(picture)
    falling = [metrics.sharpness(blurred(picture, sigma)) for sigma in (0.5, 1, 2, 4)]
    assert sharp > falling[0] + 0.03
    assert (np.diff(falling) < -0.1).all()
    assert metrics.sharpness(levels(picture * 0.5)) == pytest.approx(sharp, abs=0.005)
    noisy = levels(picture * 0.8 + 20 + np.random.default_rng(0).normal(0, 10, picture.shape))
    assert metrics.sharpness(noisy) == pytest.approx(sharp, abs=0.02)


@pytest.mark.parametrize("blur", [1, 2, 3, 6])
def test_sharpness_of_a_blurred_step_is_the_quotient_of_its_gradients(blur):
    step = np.zeros((60, 300, 3), np.uint8)
    step[:, 150:] = 200
    value = metrics.sharpness(blurred(step, blur))
    assert value == pytest.approx(math.sqrt((blur**2 + 4) / (blur**2 + 1)), abs=0.05)   # beside the crest a little less
    assert value == pytest.approx(metrics.sharpness(blurred(step, blur).swapaxes(0, 1)), abs=1e-9)
    assert metrics.sharpness(step) > value
    assert math.isnan(metrics.sharpness(np.full((1, 1, 3), 7, np.uint8)))


# ---- lightness order error ----

def test_loe_by_hand():
    before = np.array([[[0, 9, 0], [20, 0, 0], [0, 0, 20]]], np.uint8)   # lightness 9 20 20
    after = np.array([[[5, 5, 5], [4, 0, 0], [6, 6, 6]]], np.uint8)      # lightness 5 4 6
    # L(p) >= L(q), before: p1 only itself, p2 and p3 all; after: p1 p1 p2, p2 only itself, p3 all. RD = 1, 2, 0
    assert metrics.loe(before, after) == 1
    assert metrics.loe(after, before) == 1


def test_loe_equals_the_definition_pixel_by_pixel():
    before, after = noise(30, 40) // 16, noise(30, 40, seed=1) // 16     # short side under 50: as it is
    a, b = (picture.max(axis=2).ravel() for picture in (before, after))
    disorder = (a[:, None] >= a) != (b[:, None] >= b)
    assert metrics.loe(before, after) == disorder.sum(axis=1).mean()


def test_loe_is_zero_for_tone_curves_and_samples_large_pictures():
    before = photo("chelsea")
    assert metrics.loe(before, before) == 0
    assert metrics.loe(before, before // 2 + 100) > 0     # pairs of levels become equal
    small = before // 2
    assert metrics.loe(small, small * 2) == 0
    coarse, other = noise(50, 75), noise(50, 75, seed=1)  # each pixel in 2x2: sampling finds the small picture again
    assert metrics.loe(coarse.repeat(2, 0).repeat(2, 1), other.repeat(2, 0).repeat(2, 1)) == metrics.loe(coarse, other)
    assert 0 < metrics.loe(coarse, 255 - coarse) < 50 * 75
    with pytest.raises(ValueError, match="one shape"):
        metrics.loe(coarse, other[:-1])


# ---- curves ----

def test_area_under_a_curve_by_hand():
    assert metrics.auc([0, 0.5, 1], [1, 0.5, 0]) == 0.5
    assert metrics.auc([0, 10, 50], [0, 1, 1]) == pytest.approx((5 + 40) / 50)
    with pytest.raises(ValueError, match="increasing"):
        metrics.auc([0, 1, 1], [1, 1, 1])
    with pytest.raises(ValueError, match="as many shares"):
        metrics.auc([0, 1], [1, 1, 1])


def test_the_trackers_auc_is_the_mean_of_the_curve_with_its_ends_at_full_weight():
    overlaps = np.random.default_rng(0).random(100)
    thresholds = np.linspace(0, 1, 21)
    shares = (overlaps[:, None] > thresholds).mean(axis=0)
    assert metrics.success_auc(shares) == pytest.approx(shares.sum() / 21)
    ends = 0.5 * (shares[0] + shares[-1])
    assert metrics.success_auc(shares) == pytest.approx((20 * metrics.auc(thresholds, shares) + ends) / 21)


# ---- golden values of LOL's evaluation pictures ----

def test_metrics_equal_the_golden_values_of_eval15(shared):
    golden = json.loads((shared("golden/msrnet") / "metrics.json").read_text())["eval15"]
    root = shared("data/LOL/eval15")
    for name in ("1.png", "179.png"):
        low, high = image(root / "low" / name), image(root / "high" / name)
        assert metrics.entropy(high) == pytest.approx(golden[name]["entropy_gray_high"], abs=PEER)
        for method, output in (("identity", low), ("gamma22", gamma22(low))):
            scaled = metrics.gt_mean(output, high)
            free, mean = metrics.psnr(tensor(output, scaled), tensor(high, high)).tolist()
            ssim_free, ssim_mean = metrics.ssim(tensor(output, scaled), tensor(high, high)).tolist()
            values = {"psnr": free, "ssim_gauss_rgb": ssim_free,
                      "ssim_gauss_gray": metrics.ssim_gray(tensor(output), tensor(high)).item(),
                      "entropy_gray": metrics.entropy(output), "gt_mean_psnr": mean,
                      "gt_mean_ssim_gauss_rgb": ssim_mean}
            for metric, value in values.items():
                assert value == pytest.approx(golden[name][method][metric], abs=PEER), (name, method, metric)


def test_colour_differences_are_those_of_the_library_and_zero_for_equal_pictures():
    a, b = photo("chelsea"), np.clip(photo("chelsea").astype(int) + 10, 0, 255).astype(np.uint8)
    assert metrics.ciede2000(a, a) == 0 and 1 < metrics.ciede2000(a, b) < 10
    with pytest.raises(ValueError, match="8-bit"):
        metrics.ciede2000(a / 255, a)


def test_gray_edges_see_a_cast():
    gray = noise(40, 50)[..., :1].repeat(3, axis=2)
    assert metrics.gray_edge(gray) == pytest.approx(0, abs=1e-5)
    assert metrics.gray_edge((gray * np.array([1, 0.5, 1])).astype(np.uint8)) == pytest.approx(15.8, abs=0.2)
    assert np.isnan(metrics.gray_edge(np.full((20, 20, 3), 9, np.uint8)))


# ---- tiles -----------------------------------------------------------------------------------------------------------

def test_numbers_do_not_depend_on_tiles(monkeypatch):
    """psnr, ssim, ssim_gray of a picture larger than a tile are those of the whole; no tile sees more than its size."""
    a, b = torch.rand(2, 3, 150, 131), torch.rand(2, 3, 150, 131)
    whole = [measure(a, b) for measure in (metrics.psnr, metrics.ssim, metrics.ssim_gray)]
    seen = []
    for tile in (10, 64, 140):
        monkeypatch.setattr("common.metrics.pictures.TILE", tile)
        monkeypatch.setattr("common.metrics.pictures.ssim_map", lambda x, y: seen.append(x.shape) or ssim_map(x, y))
        for measure, expected in zip((metrics.psnr, metrics.ssim, metrics.ssim_gray), whole):
            assert near(measure(a, b), expected, "gradient")
        assert max(max(shape[2:]) for shape in seen) <= tile + 10
        seen.clear()


def test_niqe_does_not_depend_on_tiles(monkeypatch):
    """Borders between tiles are no borders of the picture; the last tile is smaller, in both directions."""
    rgb8 = np.random.default_rng(0).integers(0, 256, (96 * 5 + 50, 96 * 7 + 30, 3)).astype(np.uint8)
    rgb8 = cv2.GaussianBlur(rgb8, None, 1.5)
    parameters = Parameters(np.full(36, 0.5), np.eye(36))
    values = []
    for tile in (96, 192, 480, 9600):
        monkeypatch.setattr(sys.modules["common.metrics.niqe"], "TILE", tile)  # the name is the function
        values.append(niqe(rgb8, parameters))
    np.testing.assert_allclose(values, values[-1], rtol=0, atol=1e-6)
