"""Which files are pictures or videos by their names and first bytes, and what to do with those that are not read."""
import re
from pathlib import Path

from PIL import features

try:                                    # the extra `heic`: photographs of iPhones
    from pillow_heif import register_heif_opener
    register_heif_opener()
    HEIC = True
except ImportError:
    HEIC = False

JPEG = ("JPEG", {"quality": 95, "subsampling": 0})
TIFF = ("TIFF", {"compression": "tiff_adobe_deflate"})
ENCODINGS = {                           # suffix: Pillow's name and options; a lossy file is as good as that format gets
    ".png": ("PNG", {"compress_level": 1}),              # a quarter of the default's time for 13 % more bytes
    ".jpg": JPEG, ".jpeg": JPEG, ".jpe": JPEG, ".jfif": JPEG,
    ".bmp": ("BMP", {}),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),
    ".tif": TIFF, ".tiff": TIFF,
}
APPLES = (".heic", ".heif", ".hif")
IMAGE_SUFFIXES = (*ENCODINGS, ".gif", *[".avif"] * features.check("avif"), *APPLES * HEIC)      # read
READERS = ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", *["AVIF"] * features.check("avif"), *["HEIF"] * HEIC]
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".wmv", ".3gp", ".3g2", ".mpg",
                  ".mpeg", ".mts", ".m2ts", ".ogv", ".flv")

EXPORT = "export it as JPEG"
APPLE = ("HEIC, the format of iPhones",
         f"{EXPORT} (on the phone: Settings, Camera, Formats, Most Compatible; on a Mac: Preview, File, Export), or "
         "install pillow-heif (`pip install -e .[heic]`)")
RAW = "a camera's raw file", f"{EXPORT} or 16-bit TIFF with the camera's program, darktable or RawTherapee"
HIDDEN = "hidden by the dot that its name begins with", "rename it"
BROKEN = "a link to a file that is not there", "mend or remove it"
UNREAD = {                              # suffix: (what it is, what to do)
    **dict.fromkeys(APPLES, APPLE),
    ".avif": ("AVIF, which this Pillow cannot read", f"{EXPORT} or install a newer Pillow"),
    **dict.fromkeys((".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".orf", ".rw2", ".raf",
                     ".pef", ".srw", ".raw", ".rwl", ".3fr", ".iiq", ".x3f", ".erf", ".kdc", ".dcr", ".mrw", ".mos"),
                    RAW),
    **dict.fromkeys((".svg", ".eps", ".pdf", ".ai"), ("a drawing, not pixels", "export it as PNG")),
    **dict.fromkeys((".psd", ".xcf", ".kra", ".exr", ".hdr", ".jp2", ".jxl", ".tga", ".ico", ".ppm", ".pgm"),
                    ("a picture of a kind that is not read here", "export it as PNG")),
}
MAGIC = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"II*\0": ".tif", b"MM\0*": ".tif"}
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_image(path):
    """Whether a path is that of a picture that is read here, by its suffix."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def is_film(path):
    """Whether a path is that of a video, by its suffix."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def explain(path):
    """(what it is, what to do) of a file that looks like a picture or a video and is not read as a picture.

    None for pictures that are read, for folders, and for everything that looks like neither picture nor video.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        return None
    if path.name.startswith("."):
        named = is_image(path) or is_film(path) or suffix in UNREAD
        return HIDDEN if named and not path.name.startswith("._") else None         # ._: macOS puts them there
    if not path.exists():
        return BROKEN if is_image(path) else None
    if is_image(path):
        return None
    meant = suffix_inside(first_bytes(path))
    if suffix in UNREAD and not (suffix in APPLES and meant):                       # chats rename JPEG to HEIC
        return UNREAD[suffix]
    if is_film(path):
        return "a video", "name it itself where videos are taken"
    if meant in APPLES:
        return APPLE
    return ("a picture under the name of something else", f"rename it to end in {meant}") if meant else None


def suffix_inside(head):
    """The suffix that belongs to a picture's first bytes; None where they are not those of a picture."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        return APPLES[0]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in MAGIC.items() if head.startswith(magic)), None)


def foreign(data, path):
    """The same of a file's first bytes, where they are those of a format with a sentence of its own; else None."""
    if suffix_inside(data) == APPLES[0] and not HEIC:
        return APPLE
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis") and "AVIF" not in READERS:
        return UNREAD[".avif"]
    if is_film(path) and not suffix_inside(data):
        return "a video, not a picture", "save some of its frames as pictures"
    return RAW if UNREAD.get(Path(path).suffix.lower()) is RAW else None


def first_bytes(path):
    """Up to 32 bytes of the beginning of a file; none where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(32)
    except OSError:
        return b""


def natural(name):
    """Sorting key under which numbers inside names count as numbers: 2.png comes before 10.png."""
    parts = re.split(r"(\d+)", name.casefold())             # text and number in turn, so that like meets like
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name
