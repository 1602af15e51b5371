"""Two pictures warped onto one canvas, and the ways to make one of them: what both stitching networks join."""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from common.stitching.geometry import STRICT


class Warps(NamedTuple):
    """Both pictures on one canvas. a, b: (N, 3, H, W), zero outside; mask_a, mask_b: (N, 1, H, W) bool, strict.

    So are overlap, where both are, and union, where any is. depth_a, depth_b: (N, 1, H, W), how far a point lies inside
    its picture, in pixels of that picture; 0 outside. They may be None, for what does not ask how deep.
    """
    a: Tensor
    b: Tensor
    mask_a: Tensor
    mask_b: Tensor
    depth_a: Tensor | None = None
    depth_b: Tensor | None = None

    @property
    def overlap(self):
        return self.mask_a & self.mask_b

    @property
    def union(self):
        return self.mask_a | self.mask_b

    def join(self, share):
        """share (a number or (N, 1, H, W)) of A and the rest of B where both are, each alone elsewhere, else black."""
        share = torch.where(self.overlap, share, self.mask_a.to(self.a.dtype))
        return share * self.a + (1 - share) * self.b

    def average(self):
        """The plain mean where both are: view-free stitching's structure stitch."""
        return self.join(0.5)

    def a_over_b(self):
        """A, and B where A is not."""
        return self.join(1.0)

    def feather(self):
        """A's share of feathering: 1 at B's border, 0 at A's."""
        return self.depth_a / (self.depth_a + self.depth_b).clamp(min=1e-6)

    def resize(self, size):
        """The same at (height, width): pictures by area, masks where they are whole."""
        def area(x):
            return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        mask_a, mask_b = (area(mask.to(self.a.dtype)) >= STRICT for mask in (self.mask_a, self.mask_b))
        scale = (size[0] * size[1] / (self.a.shape[2] * self.a.shape[3])) ** 0.5              # depths are pixels
        depth_a, depth_b = (area(depth) * mask * scale
                            for depth, mask in ((self.depth_a, mask_a), (self.depth_b, mask_b)))
        return Warps(area(self.a) * mask_a, area(self.b) * mask_b, mask_a, mask_b, depth_a, depth_b)

    def exchange(self):
        """The same with the roles of A and B exchanged."""
        return Warps(self.b, self.a, self.mask_b, self.mask_a, self.depth_b, self.depth_a)

    def to(self, device):
        """The same on a device."""
        return Warps(*(each.to(device) for each in self))

    def crop(self, box):
        """The part inside box = (top, left, bottom, right)."""
        return Warps(*(each[..., box[0]:box[2], box[1]:box[3]] for each in self))
