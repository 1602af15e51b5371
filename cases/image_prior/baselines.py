"""What the prior is held against: OpenCV's and scikit-image's inpainting, and denoising that knows no mask.

given: uint8 (H, W, 3); mask: bool (H, W), what is to be filled. Each returns uint8 (H, W, 3).
"""
import cv2
import numpy as np
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, inpaint_biharmonic

from cases.image_prior.data import to_levels
from common.metrics import noise_sigma

RADIUS = 3                                                    # pixels, of OpenCV's two


def telea(given, mask):
    """From the hole's edge inwards, each pixel a weighted mean of the known ones nearby (Telea 2004)."""
    return cv2.inpaint(given, mask.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)


def navier_stokes(given, mask):
    """Lines of equal brightness continued into the hole as a fluid's streamlines are (Bertalmio et al. 2001)."""
    return cv2.inpaint(given, mask.astype(np.uint8), RADIUS, cv2.INPAINT_NS)


def biharmonic(given, mask):
    """The smoothest surface through the known pixels: of a thin plate that is bent over them."""
    return to_levels(255 * inpaint_biharmonic(given / 255, mask, channel_axis=-1)) if mask.any() else given


def nlm(given, mask):
    """Non-local means: the mean of places that look alike; it takes a mark for picture. mask is not used."""
    picture = given / 255
    sigma = noise_sigma(given) / 255
    return to_levels(255 * denoise_nl_means(picture, h=0.8 * sigma, sigma=sigma, fast_mode=True, patch_size=5,
                                            patch_distance=6, channel_axis=-1))


def tv(given, mask):
    """Total variation (Chambolle 2004), as strong as the noise that is estimated. mask is not used."""
    picture = given / 255
    sigma = noise_sigma(given) / 255
    return to_levels(255 * denoise_tv_chambolle(picture, weight=1.2 * sigma, channel_axis=-1))


FILLING = {"telea": telea, "navier_stokes": navier_stokes, "biharmonic": biharmonic}
SMOOTHING = {"nlm": nlm, "tv": tv}


def methods(task):
    """{row: function} that have an answer to a task."""
    return {"inpaint": FILLING, "watermark": FILLING | SMOOTHING, "denoise": SMOOTHING}[task]
