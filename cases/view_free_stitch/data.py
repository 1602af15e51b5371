"""Which photographs train and which choose the weights; what is tested on."""
from pathlib import Path

from common.homography_pairs import HomographyPairs, drawn_pairs
from common.images import list_images

HELD = 10                          # every tenth photograph in name order is never trained on


def photographs(root):
    """(training, held out) pictures of a folder; all of them for both where there are fewer than ten."""
    photos = list_images(root)
    held = photos[::HELD] if len(photos) >= HELD else photos
    return [photo for photo in photos if photo not in set(held)] or photos, held


def training_pairs(cfg, label):
    """The HomographyPairs that train, made anew in every epoch. label: whether the stage needs the perfect stitch."""
    training, _ = photographs(Path(cfg.data.root))
    return HomographyPairs(training, cfg.seed, cfg.data.augment, label)


def validation_pairs(cfg):
    """FixedPairs over the held-out photographs: what chooses weights and thresholds."""
    _, held = photographs(Path(cfg.data.root))
    return drawn_pairs(held, cfg.train.validate_pairs, cfg.data.validation_seed)
