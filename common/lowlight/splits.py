"""Which pairs of a data set in LOL's layout train, choose the weights, and test; cfg: the settings of a case."""
from common.data.lol import is_lol, one_per_scene, validation_names
from common.data.paired import PairedImages, list_pairs

TRAINING = "our485"


def hold_out(names, cfg):
    """(training, validation) names. Held-out scenes never train; of those that validate, one per scene comes first."""
    held = validation_names(names, cfg.data.validation_seed)
    chosen = one_per_scene(held) if is_lol(names) else held
    chosen = (chosen + [name for name in held if name not in chosen])[:cfg.train.validate_pictures]
    return [name for name in names if name not in set(held)], chosen


def evaluation_set(cfg):
    """The whole pictures to test on, with .set_name and .is_lol: eval15 (LOL-v2: Test; LSRW: Eval), or the scenes that
    are held out of training."""
    root = cfg.test.root or cfg.data.root
    if cfg.test.set == "validation":
        names = list_pairs(root, TRAINING)
        pairs = PairedImages(root, TRAINING, names=validation_names(names, cfg.data.validation_seed))
    else:
        pairs = PairedImages(root, "eval15")
        names = pairs.names
    pairs.is_lol = is_lol(names)
    pairs.set_name = cfg.test.set if cfg.test.set == "validation" else pairs.folder_name
    return pairs
