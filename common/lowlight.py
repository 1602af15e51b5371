"""The physics of a picture taken with too little light: fewer photons, shot noise, read noise, 8 bits."""
import numpy as np


def srgb_to_linear(values):
    """sRGB values in [0, 1] as linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light):
    """The inverse of srgb_to_linear."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def darken(rgb, generator, gain=(1 / 40, 1 / 6), full_well=(1000, 8000), read_noise=(1, 6), jitter=(0.9, 1.1)):
    """The same picture with a short exposure: (h, w, 3) float in [0, 1] to the same, on 8-bit levels.

    Linear light is multiplied by a gain (drawn log-uniformly), turned into electrons of a full well, which arrive as Poisson counts and are read
    with Gaussian noise, clipped, coded as sRGB, changed by a small gamma and contrast (`jitter`), rounded. All draws from `generator`.
    """
    g = np.exp(generator.uniform(*np.log(gain)))
    well, sigma = generator.uniform(*full_well), generator.uniform(*read_noise)
    exponent, contrast = generator.uniform(*jitter, size=2)
    electrons = generator.poisson(srgb_to_linear(rgb) * g * well) + generator.normal(0, sigma, rgb.shape)
    coded = linear_to_srgb(np.clip(electrons / well, 0, 1))
    return np.floor(255 * np.clip(contrast * coded**exponent, 0, 1) + 0.5) / 255
