"""ProPhoto, the widest of the profiles in use, made here byte by byte: reading it gives the colours that were meant."""
import struct

import numpy as np
from PIL import Image
from skimage.color import rgb2lab

from common.data.images import read_pixels

GAMMA = 461 / 256                                            # 1.8, as a profile can say it
# columns: X, Y, Z of red, green and blue under D50
PROPHOTO = np.array([[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0, 0, 0.8252100]])
SRGB = np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169],
                 [0.0139322, 0.0971045, 0.7141733]])


def fixed(*values):
    """Numbers as ICC's s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def make_profile(primaries, gamma):
    """An ICC profile (version 2) of a display: three primaries and one power."""
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)}
    for name, column in zip((b"r", b"g", b"b"), primaries.T):
        tags[name + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*column)
        tags[name + b"TRC"] = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(gamma * 256))
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    header = (struct.pack(">I4xI", start + len(body), 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
              + fixed(0.9642, 1, 0.8249))
    return header.ljust(128, b"\0") + table + body


def off(found, wanted):
    """Mean distance of two pictures' colours in CIE76."""
    return np.linalg.norm(rgb2lab(found) - rgb2lab(wanted), axis=-1).mean()


def test_prophoto_means_the_same_colours(tmp_path):
    wanted = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    encoded = wanted / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    stored = (linear @ (np.linalg.inv(PROPHOTO) @ SRGB).T).clip(0, 1) ** (1 / GAMMA)
    stored = (255 * stored).round().astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "prophoto.png", icc_profile=make_profile(PROPHOTO, GAMMA))
    assert off(stored, wanted) > 15, "read as sRGB it is pale"
    assert off(read_pixels(tmp_path / "prophoto.png"), wanted) < 1
