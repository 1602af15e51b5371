"""Pictures in and out of files, and through a function in tiles.

A picture is RGB, float32, (3, H, W), in [0, 1], upright. Pillow opens, checks and decodes; 16-bit pixels come through
OpenCV, because Pillow keeps only their upper half in colour and clips them in gray. Colours are sRGB: what has another
profile is converted (profiles.py); of several pictures in a file (animation, pages) the first counts.
"""
import contextlib
import io
import itertools
import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from common.base.errors import UserError, join_some, warn
from common.base.files import impostor, reason, write_whole
from common.base.progress import watch
from common.base.targets import unique_names
from common.data.formats import ENCODINGS, READERS, explain, foreign, is_film, is_image, natural
from common.data.profiles import apply_profile, warn_deep

Image.MAX_IMAGE_PIXELS = None           # MAX_PIXELS below takes its place: Pillow itself would warn at 89 megapixels
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)        # no remarks on a TIFF's unusual tags
MAX_PIXELS = 178_000_000
EXPECTED = "a PNG, JPEG, BMP, WebP or TIFF picture was expected"
LONGEST = dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), 65500) | {".webp": 16383}   # pixels a side, where they end
HELD = 10                               # every tenth photograph is held out
told = set()                            # folders whose unread files have been named, and files of several pictures
WITHOUT_ALPHA = (".jpg", ".jpeg", ".jpe", ".jfif", ".bmp")
SIXTEEN_BIT = (".png", ".tif", ".tiff")
GRAY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N"}          # Pillow's names of pixel kinds
READABLE = GRAY | {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
BITS, PHOTOMETRIC, ORIENTATION, PLANES, EXTRA = 258, 262, 274, 284, 338         # TIFF tags; EXIF has the third too


class Picture(NamedTuple):
    """What a file holds, upright: enough to write a result back in the same kind (write_image's `like`)."""
    rgb: Tensor                         # (3, H, W) float32 in [0, 1]; gray pictures have three equal channels
    alpha: Tensor | None                # (1, H, W) float32 in [0, 1]; None where the file has no transparency
    gray: bool                          # the file has one channel of brightness, not a palette that happens to be gray
    bits: int                           # 8 or 16


def open_picture(path, max_pixels=MAX_PIXELS):
    """The Picture in a PNG, JPEG, BMP, WebP or TIFF file: 1 to 16 bits, gray, palette, RGB or CMYK, also transparent.

    Turned upright by its EXIF orientation. Raises UserError, with what to do, for anything that is not such a picture,
    is incomplete, or has more than max_pixels pixels (known before they are decoded).
    """
    pixels, gray = _decode(_contents(path), path, max_pixels)
    bits = 8 * pixels.itemsize
    channels = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float().div_(2 ** bits - 1)       # (3 or 4, H, W)
    return Picture(channels[:3], channels[3:] if len(channels) == 4 else None, gray, bits)


def read_image(path):
    """The colours of a picture file: (3, H, W) float32 RGB in [0, 1], no transparency. Errors as open_picture."""
    return open_picture(path).rgb


def read_pixels(path):
    """The colours of a picture file as uint8 (H, W, 3) RGB; 16-bit ones are rounded as write_image does."""
    return bytes_of(_contents(path), path)


def bytes_of(data, path, max_pixels=MAX_PIXELS):
    """read_pixels of a file's contents that are in memory already; path is what messages call it."""
    return to_eight_bits(_decode(data, path, max_pixels)[0][..., :3])


def read_levels(path):
    """The colours of a picture file as it stores them, uint8 or uint16 (H, W, 3) RGB. Errors as open_picture."""
    return np.ascontiguousarray(_decode(_contents(path), path, MAX_PIXELS)[0][..., :3])


def to_eight_bits(pixels):
    """uint8 of uint8 (as they are) or uint16, whose levels are rounded as write_image does."""
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)     # floor(255 v / 65535 + 0.5), no floats
    return np.ascontiguousarray(pixels)


def to_tensor(pixels):
    """float32 (3, H, W) in [0, 1] of uint8 or uint16 (H, W, 3); the order in memory stays: channels last."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float().div_(np.iinfo(pixels.dtype).max)


def to_bytes(picture, top=255):
    """uint8 (H, W, C) of a tensor (C, H, W): floor(255 y + 0.5), clamped. NaN raises ValueError: no byte says it.

    top: the highest level, 65535 for uint16.
    """
    picture = picture.detach().float().cpu()
    if picture.isnan().any():
        raise ValueError("the picture has values that are not numbers (NaN)")
    levels = picture.clamp(0, 1).mul_(top).add_(0.5).floor_()
    return levels.permute(1, 2, 0).numpy().astype(np.uint8 if top == 255 else np.uint16, order="C")


def result_suffix(path):
    """The suffix for the result of a picture file: the file's own, or .png where no such format is written."""
    suffix = Path(path).suffix
    return suffix if suffix.lower() in ENCODINGS else ".png"


def unwritable(path, size=None):
    """Why a picture of size (height, width, ...), where that is known, cannot be written to path; None where it can."""
    suffix = Path(path).suffix.lower() or ".png"
    if suffix not in ENCODINGS:
        return f"unknown picture format '{Path(path).suffix}' (written are {' '.join(ENCODINGS)}): {path}"
    if size and max(size[:2]) > LONGEST.get(suffix, max(size[:2])):
        return f"{suffix} holds at most {LONGEST[suffix]} pixels a side, the picture has {by(size)}: {path}"
    if size and size[0] * size[1] > MAX_PIXELS:
        return f"the picture would have {by(size)} pixels, at most {MAX_PIXELS / 1e6:g} million are read again: {path}"
    return None


def write_image(path, picture, like=None):
    """Write a (3, H, W) RGB tensor, clamped to [0, 1], whole or not at all; the suffix decides the format (none: PNG).

    like: the Picture that this one was made from. Its alpha is passed on (JPEG and BMP have none), a gray source is
    written as gray (mean of the channels), and where the format can (PNG, TIFF) a 16-bit one as floor(65535 y + 0.5).
    The one exception: 16-bit gray with alpha is written as RGBA, for want of an encoder. Folders are made.
    """
    path = Path(path)
    suffix = path.suffix.lower() or ".png"
    if suffix not in ENCODINGS:
        raise UserError(f"unknown picture format '{path.suffix}': {path}: one of {' '.join(ENCODINGS)} was "
                        "expected: choose another name")
    channels, top = picture, 255
    if like is not None:
        channels = picture.clamp(0, 1).mean(0, keepdim=True) if like.gray else picture
        if like.alpha is not None and suffix not in WITHOUT_ALPHA:
            channels = torch.cat([channels, like.alpha.to(channels.device)])
        top = 65535 if like.bits == 16 and suffix in SIXTEEN_BIT else 255
    pixels = to_bytes(channels, top)
    try:
        data = _encode(pixels, suffix)
    except (OSError, ValueError) as error:                  # WebP ends at 16383 pixels a side, JPEG at 65500
        raise UserError(f"this format cannot hold the picture ({reason(error)}): {path}: a smaller one was expected: "
                        "write it as PNG") from error
    write_whole(path, data)


def list_images(folder, setting=None):
    """Paths of the pictures directly in a folder, by suffix, hidden files left out, in natural order (1, 2, 10).

    What looks like a picture or a video and is not among them is named in a warning, once a folder. Raises UserError
    where the folder cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{kind}: {folder}: a folder of pictures was expected: "
                        + (f"set {setting}" if setting else "check the path"))
    try:
        entries = sorted(folder.iterdir(), key=lambda path: natural(path.name))
    except OSError as error:
        raise UserError(f"cannot read ({error.strerror}): {folder}: a folder of pictures was expected: check the "
                        "rights of the folder") from error
    if folder.resolve() not in told:
        told.add(folder.resolve())
        name_unread(folder, entries)
    return [path for path in entries if is_image(path) and not path.name.startswith(".") and path.is_file()]


def name_unread(folder, entries):
    """A warning for each reason why some of a folder's files, which look like pictures or videos, are not read."""
    unread = {}
    for path in entries:
        if because := explain(path):
            unread.setdefault(because, []).append(path.name)
    for (what, remedy), names in unread.items():
        warn(f"not read in {folder}: {join_some(names)}: {what}: {remedy}")


def split_photographs(root, setting="data.photos"):
    """(training, held out) pictures of a folder: every tenth in natural order never trains; all for both under ten.

    Raises UserError for a folder without pictures; setting: what names the folder.
    """
    photos = list_images(Path(root), setting)
    if not photos:
        raise UserError(f"no pictures: {root}: a folder of photographs was expected: set {setting}")
    held = photos[::HELD] if len(photos) >= HELD else photos
    return [photo for photo in photos if photo not in set(held)] or photos, held


def picture_files(inputs):
    """(paths, items): the pictures that files and folders name, and for each a unique name (the stem where it is)."""
    paths = []
    for path in map(Path, inputs):
        if path.is_dir():
            found = list_images(path)
            name_folders_inside(path)
            if not found:
                raise UserError(f"no pictures: {path}: PNG, JPEG, BMP, WebP or TIFF files were expected: name another "
                                "folder")
            paths += found
        elif is_film(path):
            raise UserError(f"a video, not a picture: {path}: {EXPECTED}: save some of its frames as pictures; whole "
                            "videos are taken by kind, msrnet, siamfc, super_resolution, vgg19_style with stage=fast")
        elif path.exists():
            paths.append(path)
        else:
            raise UserError(f"no such file or folder: {path}: pictures were expected: check the path")
    return paths, unique_names(path.stem for path in paths)


def name_folders_inside(folder):
    """A warning for the folders in a folder that hold pictures: they are not read."""
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and holds_images(path)]
    if inside:
        warn(f"not read: {join_some(inside)}: a folder in the folder {folder}: name it itself")


def holds_images(folder):
    """Whether there are pictures directly in a folder, which need not be readable."""
    try:
        return not folder.name.startswith(".") and any(map(is_image, folder.iterdir()))
    except OSError:
        return False


def picture_size(path):
    """(height, width) of a picture, upright, from its header; None where there is none to read."""
    try:
        with Image.open(path) as image:
            exif = image.getexif() if "exif" in image.info else {}              # asking a PNG without would decode it
            return image.size if exif.get(ORIENTATION) in (5, 6, 7, 8) else image.size[::-1]
    except (OSError, ValueError, SyntaxError):              # Pillow raises all three on damaged headers
        return None


def by(size):
    """`600x400`, width first, of a shape (h, w, ...)."""
    return f"{size[1]}x{size[0]}"


def map_tiles(function, image, tile=512, halo=11, multiple=1):
    """function(image) tile by tile: the same values to float rounding, in the memory of the output and one tile.

    function(crop, box) maps (1, C, h, w) to (1, C', h, w), each pixel from its surroundings of `halo` pixels; box =
    (top, left, bottom, right) is where the crop lies in the picture, so that whole-picture inputs can be cut alike.
    Crops are cut from the real picture and end where it ends: zero padding inside the function then happens at its true
    border only, as without tiles. None has a side over tile + 2 halo. All start at multiples of `multiple` (tile and
    halo are rounded up to it): for networks that subsample by it. Returns (1, C', H, W).
    """
    height, width = image.shape[-2:]
    tile, halo = (-(-size // multiple) * multiple for size in (tile, halo))
    spans = itertools.product(*(_spans(side, tile, halo, multiple) for side in (height, width)))
    output = None
    for (top, bottom), (left, right) in watch(list(spans), "tiles"):
        box = max(top - halo, 0), max(left - halo, 0), min(bottom + halo, height), min(right + halo, width)
        result = function(image[:, :, box[0]:box[2], box[1]:box[3]], box)
        if output is None:
            output = result.new_empty(1, result.shape[1], height, width)
        output[:, :, top:bottom, left:right] = result[:, :, top - box[0]:bottom - box[0], left - box[1]:right - box[1]]
    return output


def _spans(side, tile, halo, multiple):
    """[(begin, end)] of as few parts of a side as there can be, their crops of one size as far as `multiple` lets them:
    each halo is computed twice, and the first and the last part, which need one only, are longer by the other."""
    count = max(1, -(-(side - 2 * halo) // tile))
    inner = -(-(side - 2 * halo) // (count * multiple)) * multiple
    return list(itertools.pairwise([0, *(halo + place * inner for place in range(1, count)), side]))


def _contents(path):
    """All bytes of a file that may be a picture."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"a folder, not a picture: {path}: {EXPECTED}: name a file in it")
    if not path.exists():
        raise UserError(f"no such file: {path}: {EXPECTED}: check the path")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read ({error.strerror}): {path}: {EXPECTED}: check the rights of the file") from error


def _decode(data, path, max_pixels):
    """(pixels, gray) of a file's bytes: uint8 or uint16 (H, W, 3 or 4), RGB or RGBA, upright. UserError names path."""
    if wrong := impostor(data[:512]):
        raise UserError(f"{wrong[0]}: {path}: {EXPECTED}: {wrong[1]}")
    if wrong := foreign(data[:32], path):
        raise UserError(f"{wrong[0]}: {path}: {EXPECTED}: {wrong[1]}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                 # Pillow's on odd files: what matters is raised
            with Image.open(io.BytesIO(data), formats=READERS) as image:
                size = image.width * image.height
                if size <= max_pixels:
                    return _pixels(image, data, path)
    except UnidentifiedImageError as error:
        raise UserError(f"a format that is not read here, or a damaged beginning: {path}: {EXPECTED}: "
                        "convert it, or copy or download it again") from error
    except Exception as error:                              # decoders raise nearly everything on damaged bytes
        raise UserError(f"a damaged, incomplete or unusual picture ({reason(error)}): {path}: {EXPECTED}: "
                        "copy or download it again, or save it as an ordinary PNG") from error
    raise UserError(f"the picture is too large ({image.width} x {image.height} pixels, {size / 1e6:.1f} million): "
                    f"{path}: at most {max_pixels / 1e6:g} million were expected: scale it down first")


def _pixels(image, data, path):
    """(pixels, gray) of a picture that Pillow has opened from data. ValueError for kinds that cannot be told right."""
    if image.mode not in READABLE:
        raise ValueError(f"pixels of the kind {image.mode}, not 8 or 16 bits of gray, palette, RGB or CMYK")
    name_further(image, path)
    gray = image.mode in GRAY or (image.format == "PNG" and data[25] == 4)     # PNG's colour type 4: gray with alpha
    image.load()                                            # raises when something is missing, where OpenCV prints
    if _is_deep(image, data):
        warn_deep(image, path)
        return _sixteen_bits(image, data), gray
    ImageOps.exif_transpose(image, in_place=True)
    image = apply_profile(image, path)
    return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB")), gray


def name_further(image, path):
    """A warning, once a file, where it holds several pictures, pages or frames: the first counts. Not of JPEG, whose
    further pictures are a phone's thumbnails and light maps."""
    count = 1
    with contextlib.suppress(Exception):                    # a damaged second one is no reason against the first
        count = 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
        image.seek(0)
    if count > 1 and path not in told:
        told.add(path)
        warn(f"{path} holds {count} pictures: the first one is taken")


def _is_deep(image, data):
    """Whether the file has 16 bits per channel that OpenCV reads; CMYK and premultiplied colours keep Pillow's 8."""
    if image.format == "PNG":
        return data[24] == 16
    if image.format != "TIFF" or 16 not in image.tag_v2.get(BITS, ()):
        return False
    if image.tag_v2.get(PLANES) == 2:
        raise ValueError("16-bit channels stored one after the other")          # both libraries return rubbish
    return image.mode != "CMYK" and 1 not in image.tag_v2.get(EXTRA, ())


def _sixteen_bits(image, data):
    """uint16 (H, W, 3 or 4) of a 16-bit PNG or TIFF, upright."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("its 16-bit pixels cannot be read")
    if image.format == "PNG":
        pixels = _upright(pixels, image.getexif().get(ORIENTATION))             # OpenCV turns every TIFF by itself
    elif image.tag_v2.get(PHOTOMETRIC) == 0:
        pixels = 65535 - pixels                                                 # 0 is white
    if pixels.ndim == 3:
        return pixels[..., [2, 1, 0, 3][:pixels.shape[2]]]                      # from BGR(A)
    channels = [pixels] * 3
    if "transparency" in image.info:                                            # the one gray level that is a hole
        channels.append(np.where(pixels == image.info["transparency"], 0, 65535).astype(np.uint16))
    return np.stack(channels, axis=-1)


def _upright(pixels, orientation):
    """Pixels (H, W, ...) as the EXIF orientation 1..8 says that they should be seen; other values say nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _encode(pixels, suffix):
    """The bytes of a file of that suffix for pixels (H, W, 1 gray, 2 gray and alpha, 3 RGB or 4 RGBA)."""
    if pixels.dtype == np.uint16:
        order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
        return cv2.imencode(suffix, np.ascontiguousarray(pixels[..., order]))[1].tobytes()
    name, options = ENCODINGS[suffix]
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, name, **options)
    return buffer.getvalue()
