"""A photograph as it would look with too little light: fewer photons, shot noise, read noise, 8 bits. NumPy only."""
import numpy as np


def srgb_to_linear(values):
    """sRGB values in [0, 1] as linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light):
    """Linear light in [0, 1] as sRGB values in [0, 1]: the inverse of srgb_to_linear."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def darken(rgb, rng, gain=(1 / 40, 1 / 6), full_well=(1000, 8000), read_noise=(1, 6), jitter=(0.9, 1.1)):
    """The same picture after a short exposure: (H, W, 3) float in [0, 1] to float64 in [0, 1], on 8-bit levels.

    Light times a gain (log-uniform in its range) fills a pixel's well of so many electrons; these arrive as Poisson
    counts and are read with Gaussian noise of so many electrons; then sRGB, a small change of gamma and contrast (both
    from `jitter`), and rounding. rng: the np.random.Generator of every draw. A range of equal ends, as in
    gain=(0.1, 0.1), is a fixed value.
    """
    exposure = np.exp(rng.uniform(*np.log(gain)))
    well, sigma = rng.uniform(*full_well), rng.uniform(*read_noise)
    gamma, contrast = rng.uniform(*jitter, size=2)
    electrons = rng.poisson(srgb_to_linear(rgb) * exposure * well) + rng.normal(0, sigma, rgb.shape)
    coded = linear_to_srgb(np.clip(electrons / well, 0, 1))
    return np.floor(255 * np.clip(contrast * coded**gamma, 0, 1) + 0.5) / 255
