"""What a network for dark pictures is held against: nothing at all, a gamma curve, and the best single tone curve."""
import numpy as np

from common.base.errors import UserError
from common.base.progress import watch
from common.data.images import read_pixels
from common.data.paired import PairedImages, list_pairs


def identity(low):
    """The dark picture itself."""
    return low


def gamma(low, exponent=1 / 2.2):
    """A fixed gamma curve, x^(1/2.2)."""
    return tone_curve(low, 255 * (np.arange(256) / 255) ** exponent)


def fit_tone_curve(pairs):
    """The best single tone curve, (256,) float64: for each dark level 0..255 the mean bright level of the pairs.

    pairs: an iterable of (low, high), uint8 (H, W, 3); all pixels and channels count alike. Levels that never occur are
    interpolated, and the curve is kept from falling.
    """
    total, count = np.zeros(256), np.zeros(256)
    for low, high in pairs:
        total += np.bincount(low.ravel(), high.ravel().astype(np.float64), minlength=256)
        count += np.bincount(low.ravel(), minlength=256)
    seen = np.flatnonzero(count)
    return np.maximum.accumulate(np.interp(np.arange(256), seen, total[seen] / count[seen]))


def tone_curve(low, curve):
    """A fitted curve applied to every channel."""
    return round_levels(curve)[low]


def curve_of_training(run, pairs, split="our485"):
    """The tone curve of the training pictures that `pairs` does not test on; None, said in a line, where none are."""
    tested = set(pairs.names) if pairs.split == split else set()
    try:
        return curve_of(run.config.data.root, tested, split)
    except UserError as problem:
        run.say(f"the tone curve is left out, for want of training pictures: {problem}")
        return None


def curve_of(root, tested=(), split="our485"):
    """The tone curve of the pairs of a set in LOL's layout, but for the names in `tested`. UserError where none are."""
    names = [name for name in list_pairs(root, split) if name not in tested]
    training = PairedImages(root, split, names=names, cache=False)
    places = watch(range(len(training)), "fitting the tone curve")
    return fit_tone_curve(tuple(map(read_pixels, training.paths(place))) for place in places)


def round_levels(values):
    """Levels as they are written: clipped to 0..255, floor(x + 0.5)."""
    return np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
