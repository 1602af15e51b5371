"""Colour profiles: what a picture's numbers mean. Everything here computes in sRGB, so others are converted to it.

A phone's Display P3, Adobe RGB or ProPhoto taken as sRGB looks pale: 10, 22 and 30 units of CIE76 off in the mean.
"""
import hashlib
import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from common.base.errors import warn

RELATIVE = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
SAME = 1                                # levels: a profile that moves no colour further is sRGB by another name


def apply_profile(image, path):
    """A Pillow picture in sRGB by the profile that it carries; the picture itself where it carries none, or sRGB's.

    image: of 8 bits a channel, decoded. A profile that is broken, or of another kind of picture, is a warning, and the
    pixels stay as they are. Gray stays gray, transparency stays.
    """
    data = image.info.get("icc_profile")
    if not data:
        return image
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colours = image.convert({"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK"}.get(image.mode, "RGB"))
    try:
        transform = build_transform(data, colours.mode)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        warn(f"the colour profile cannot be used ({reason}): {path}: its colours are taken as sRGB")
        return image
    if transform is None:
        return image
    converted = ImageCms.applyTransform(colours, transform)
    if colours.mode == "L":
        converted = converted.getchannel("G")               # of three channels that are equal but for rounding
    if alpha is not None:
        converted = converted.convert("RGB")
        converted.putalpha(alpha)
    return converted


def build_transform(data, mode):
    """The transform of a profile (its bytes) for pictures of a mode to sRGB; None where it would change nothing."""
    return _build_transform(hashlib.sha256(data).digest(), mode, data)


@lru_cache(maxsize=64)
def _build_transform(_, mode, data):
    source = ImageCms.ImageCmsProfile(io.BytesIO(data))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", RELATIVE, FLAGS)
    if mode == "CMYK":
        return transform
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    probe = Image.fromarray(probe[..., 0] if mode == "L" else probe)
    moved = np.asarray(ImageCms.applyTransform(probe, transform), np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    return None if np.abs(moved).max() <= SAME else transform


def warn_deep(image, path):
    """Say that a 16-bit picture's profile is not applied, where it has one that would change its colours."""
    data = image.info.get("icc_profile")
    try:
        changes = bool(data) and build_transform(data, "L" if image.mode.startswith(("I", "L")) else "RGB") is not None
    except (ImageCms.PyCMSError, OSError, ValueError):
        changes = True
    if changes:
        warn(f"the colour profile of a 16-bit picture is not applied: {path}: its colours are taken as sRGB; convert "
             "it to sRGB, or save it with 8 bits")
