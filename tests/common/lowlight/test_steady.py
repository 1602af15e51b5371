"""Videos frame by frame: what is averaged within a shot, what begins anew at a cut."""
import numpy as np

from common.lowlight.steady import KEPT, Steady


def frame(level, seed=0):
    """A dark frame with a drawn texture, uint8 (36, 64, 3)."""
    texture = np.random.default_rng(seed).integers(0, 20, (36, 64, 3))
    return (texture + level).astype(np.uint8)


def test_an_average_lives_for_one_shot():
    seen = []

    def answer(picture, average):
        seen.append(average("mean", picture.mean().item()))
        return picture
    steady = Steady(answer, protect=False)
    for level in (10, 20, 200):
        steady.brighten(frame(level))
    now = [frame(level).mean() / 255 for level in (10, 20, 200)]
    assert steady.shots == 2
    assert np.allclose(seen, [now[0], KEPT * now[0] + (1 - KEPT) * now[1], now[2]], atol=1e-6)


def test_a_network_that_flickers_is_held_to_the_changes_of_its_input():
    gains = iter([4.0, 8.0, 2.0, 6.0])
    steady = Steady(lambda picture, average: (picture * next(gains)).clamp(0, 1), protect=False)
    levels = [steady.brighten(frame(10)).mean() for _ in range(4)]
    assert max(levels) - min(levels) < 0.01 * levels[0]


def test_a_frame_without_an_answer_stays():
    steady = Steady(lambda picture, average: None, protect=True)
    assert (steady.brighten(frame(10)) == frame(10)).all()
