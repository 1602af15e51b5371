"""What came before: a tracker of points (KLT), a tracker by a learnt filter (MOSSE), and the box that never moves.

Each is a class with init(image, box) and update(image) -> box; pictures RGB uint8 (h, w, 3), boxes (x, y, w, h),
1-based. MOSSE's response map is the direct ancestor of SiamFC's: a correlation whose peak is the target, only that its
filter is learnt from the clip itself, not offline.
"""
import cv2
import numpy as np


class Static:
    """The first box for ever: what a tracker must beat."""

    def init(self, image, box):
        self.box = np.array(box, dtype=np.float64)

    def update(self, image):
        return self.box.copy()


class KLT:
    """Corners inside the box, followed from frame to frame by Lucas and Kanade's method.

    Kept are those that return when they are followed back (Kalal et al. 2010). The box moves by the median displacement
    of its points and grows by the median ratio of their distances. New corners are sought when few are left.
    """
    POINTS, FEW = 60, 12                                      # corners wanted; fewer than FEW are renewed
    RETURNS = 1.0                                             # largest error of the way back, in pixels

    def init(self, image, box):
        self.box = np.array(box, dtype=np.float64)
        self.gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        self.points = self.corners()

    def update(self, image):
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if gray.shape != self.gray.shape:                     # another frame size: nothing to compare with
            self.gray, self.points = gray, np.empty((0, 2), np.float32)
            return self.box.copy()
        if len(self.points) >= 2:
            before, after = self.follow(gray)
            if len(after) >= 2:
                self.move(before, after)
            self.points = after
        self.gray = gray
        if len(self.points) < self.FEW:
            self.points = self.corners()
        return self.box.copy()

    def follow(self, gray):
        """(points before, points after) of those that come back to where they began."""
        window = {"winSize": (15, 15), "maxLevel": 3}
        there, found, _ = cv2.calcOpticalFlowPyrLK(self.gray, gray, self.points[:, None], None, **window)
        back, again, _ = cv2.calcOpticalFlowPyrLK(gray, self.gray, there, None, **window)
        kept = (found & again).ravel().astype(bool) & (np.linalg.norm(back[:, 0] - self.points, axis=1) < self.RETURNS)
        return self.points[kept], there[kept, 0]

    def move(self, before, after):
        shift = np.median(after - before, axis=0)
        pairs = np.triu_indices(len(before), 1)
        old, new = (np.linalg.norm(points[pairs[0]] - points[pairs[1]], axis=1) for points in (before, after))
        growth = float(np.clip(np.median(new[old > 1] / old[old > 1]), 0.9, 1.1)) if (old > 1).any() else 1.0
        centre = self.box[:2] + self.box[2:] / 2 + shift
        self.box[2:] *= growth
        self.box[:2] = centre - self.box[2:] / 2

    def corners(self):
        """Up to POINTS corners (x, y) inside the box, float32 (n, 2); none where it has left the frame."""
        mask = np.zeros_like(self.gray)
        left, top, right, bottom = np.round([*(self.box[:2] - 1), *(self.box[:2] - 1 + self.box[2:])]).astype(int)
        mask[max(top, 0):max(bottom, 0), max(left, 0):max(right, 0)] = 255
        found = cv2.goodFeaturesToTrack(self.gray, self.POINTS, 0.01, 3, mask=mask) if mask.any() else None
        return np.empty((0, 2), np.float32) if found is None else found[:, 0]


class MOSSE:
    """Minimum output sum of squared error filter (Bolme et al. 2010): H = sum G F* / sum F F*, in the Fourier domain.

    G is a Gaussian on the target, F the preprocessed window; eight small warps of the first window start the sums,
    every good frame is added at the rate .125. A peak-to-sidelobe ratio below 5.7 is a failure: the box stays and
    nothing is learnt. The box keeps its size.
    """
    RATE, FAILURE, WARPS = 0.125, 5.7, 8

    def init(self, image, box):
        self.box = np.array(box, dtype=np.float64)
        self.side = np.maximum(8, np.round(self.box[3:1:-1])).astype(int)                # (h, w) of the filter
        self.centre = self.box[1::-1] - 1 + (self.box[3:1:-1] - 1) / 2                   # (row, column)
        rows, columns = (np.arange(size) - (size - 1) / 2 for size in self.side)
        self.target = np.fft.fft2(np.exp(-0.5 * (rows[:, None] ** 2 + columns[None] ** 2) / 2.0 ** 2))
        self.hann = np.outer(np.hanning(self.side[0]), np.hanning(self.side[1]))
        self.upper, self.lower = 0, 0
        rng, patch = np.random.default_rng(0), self.patch(image)
        for warp in [np.eye(2, 3), *(self.small_warp(rng) for _ in range(self.WARPS))]:
            self.learn(cv2.warpAffine(patch, warp, patch.shape[::-1], borderMode=cv2.BORDER_REFLECT), 1.0, 1.0)

    def update(self, image):
        spectrum = np.fft.fft2(self.prepare(self.patch(image)))
        response = np.fft.ifft2(self.upper / (self.lower + 1e-2) * spectrum).real
        row, column = np.unravel_index(int(response.argmax()), response.shape)
        if self.sidelobe_ratio(response, row, column) >= self.FAILURE:
            self.centre = self.centre + np.array([row, column]) - (self.side - 1) / 2
            self.learn(self.patch(image), self.RATE, 1 - self.RATE)
        self.box[:2] = self.centre[::-1] + 1 - (self.box[2:] - 1) / 2
        return self.box.copy()

    def learn(self, patch, rate, kept):
        spectrum = np.fft.fft2(self.prepare(patch))
        self.upper = kept * self.upper + rate * self.target * spectrum.conj()
        self.lower = kept * self.lower + rate * (spectrum * spectrum.conj()).real

    def patch(self, image):
        """The gray window around the centre, float32 (h, w), read between the pixels; borders repeated."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return cv2.getRectSubPix(gray, self.side[::-1].tolist(), self.centre[::-1].tolist()).astype(np.float32)

    def prepare(self, patch):
        """ln, zero mean, unit norm of deviation, faded out by a Hann window."""
        patch = np.log1p(patch.astype(np.float64))
        return (patch - patch.mean()) / (patch.std() + 1e-5) * self.hann

    def small_warp(self, rng):
        """A random rotation, scaling and shear of some per cent around the window's middle, (2, 3)."""
        turn = np.eye(2) + rng.normal(0, 0.05, (2, 2))
        middle = (self.side[::-1] - 1) / 2
        return np.hstack([turn, (middle - turn @ middle)[:, None]])

    @staticmethod
    def sidelobe_ratio(response, row, column, reach=5):
        away = response.copy()
        away[max(0, row - reach):row + reach + 1, max(0, column - reach):column + reach + 1] = np.nan
        if np.isnan(away).all():
            return 0.0
        return float((response[row, column] - np.nanmean(away)) / (np.nanstd(away) + 1e-9))
