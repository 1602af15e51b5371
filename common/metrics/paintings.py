"""Numbers of painted pictures: colours, coloured grain, combs. All on 8-bit pictures as written, uint8 (H, W, 3)."""
import numpy as np

QUANTILES = 256                         # of a palette
WINDOW = 64                             # pixels: side of the windows in which combs are sought
FLAT = 0.25                             # share of the windows, the content's flattest, that count
ROUND = -3, -2, 2, 3                    # the waves beside the comb's, a window holding 64 / period of it


def palette(rgb8):
    """The colours of a picture from dark to light: its pixels sorted by CIELAB's L*, the mean of each 256th. (256, 3)
    in CIELAB (sRGB, D65). nan under 256 pixels."""
    from skimage.color import rgb2lab  # here: slow to import, and seldom needed
    lab = rgb2lab(rgb8).reshape(-1, 3)
    if len(lab) < QUANTILES:
        return np.full((QUANTILES, 3), np.nan)
    lab = lab[np.argsort(lab[:, 0], kind="stable")]
    edges = np.arange(QUANTILES) * len(lab) // QUANTILES
    return np.add.reduceat(lab, edges, axis=0) / np.diff([*edges, len(lab)])[:, None]


def palette_distance(rgb8, reference8):
    """Mean CIEDE2000 difference of two palettes, quantile by quantile: 0 for equal colours in equal shares, wherever
    they are. The pictures may differ in size."""
    from skimage.color import deltaE_ciede2000
    return float(deltaE_ciede2000(palette(rgb8), palette(reference8)).mean())


def fine_chroma(rgb8):
    """Root mean square of what is coloured and finer than 2 x 2 pixels, in levels of 255.

    The chroma channels (R - G) / sqrt 2 and (R + G - 2 B) / sqrt 6, less their means over 2 x 2 pixels; nan under that
    size."""
    height, width = (side // 2 * 2 for side in rgb8.shape[:2])
    if not height or not width:
        return float("nan")
    red, green, blue = np.moveaxis(rgb8[:height, :width].astype(np.float64), 2, 0)
    energy = 0.0
    for channel in ((red - green) / 2 ** 0.5, (red + green - 2 * blue) / 6 ** 0.5):
        blocks = channel.reshape(height // 2, 2, width // 2, 2)
        energy += (blocks - blocks.mean(axis=(1, 3), keepdims=True)).var()
    return float(energy ** 0.5)


def comb(rgb8, content8, period=8):
    """How much more of a comb with teeth `period` pixels apart is in flat places of a painted picture than in its
    content: 1 where the network added none.

    Both pictures have one size. In windows of 64 x 64, the quarter in which the content varies least: energy of the
    wave of that period along rows and columns of gray, over the geometric mean of the two waves to each side (1 for any
    smooth spectrum); the mean over windows, of the painted picture over the content's. nan under 64 pixels a side.
    """
    if min(rgb8.shape[:2]) < WINDOW:
        return float("nan")
    painted, content = (windows(picture) for picture in (rgb8, content8))
    flattest = np.argsort(content.var(axis=(1, 2)), kind="stable")[:max(1, round(FLAT * len(content)))]
    peaks = [np.mean([peak(window, period) for window in of[flattest]]) for of in (painted, content)]
    return float(peaks[0] / peaks[1])


def windows(rgb8):
    """The windows of gray that fit without overlap, from the upper left: (count, 64, 64)."""
    rows, columns = (side // WINDOW for side in rgb8.shape[:2])
    gray = rgb8[:rows * WINDOW, :columns * WINDOW].mean(axis=2)
    return gray.reshape(rows, WINDOW, columns, WINDOW).swapaxes(1, 2).reshape(-1, WINDOW, WINDOW)


def peak(window, period):
    """Energy of the wave of `period` over that of its neighbours: the mean over the two directions."""
    found, wave = [], WINDOW // period
    taper = np.hanning(WINDOW)
    for lines in (window, window.T):
        energy = (np.abs(np.fft.rfft((lines - lines.mean(axis=1, keepdims=True)) * taper)) ** 2).mean(axis=0) + 1e-3
        found.append(energy[wave] / np.exp(np.mean([np.log(energy[wave + offset]) for offset in ROUND])))
    return np.mean(found)
