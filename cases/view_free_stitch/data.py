"""Which photographs train and which choose the weights; what is tested on."""
from pathlib import Path

from common.data.images import list_images, split_photographs
from common.stitching.pairs import HomographyPairs, RealPairs, draw_pairs, read_pairs


def training_pairs(cfg, label):
    """The HomographyPairs that train, made anew in every epoch. label: whether the stage needs the perfect stitch."""
    training, _ = split_photographs(cfg.data.root, "data.root")
    return HomographyPairs(training, cfg.seed, cfg.data.augment, label)


def validation_pairs(cfg):
    """FixedPairs over the held-out photographs: what chooses weights and thresholds."""
    _, held = split_photographs(cfg.data.root, "data.root")
    return draw_pairs(held, cfg.train.validate_pairs, cfg.data.validation_seed)


def evaluation_pairs(cfg):
    """What test.* names, with .set_name: pairs of a CSV file, photographed pairs (a pairs.csv in root), or drawn."""
    test = cfg.test
    root = Path(test.root or cfg.data.root)
    name = root.resolve().name
    if test.pairs:
        pairs, name = read_pairs(test.pairs, root), Path(test.pairs).stem
    elif (root / "pairs.csv").is_file():
        pairs = RealPairs(root)
    elif test.held_out:
        pairs, name = draw_pairs(split_photographs(root, "test.root")[1], test.count, test.seed), "held_out"
    else:
        pairs = draw_pairs(list_images(root, "test.root or data.root"), test.count, test.seed)
    pairs.set_name = name
    return pairs
