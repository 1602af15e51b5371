"""The loss of one picture as a function of its pixels, and its gradient, whole or in exact tiles.

Grams and sums over positions are all that the loss asks of the features, so with tiles
    pass A  G_l = sum over tiles of the Gram of the tile's own positions, without gradient; then dL/dG_l from the totals
    pass B  per tile the gradient of sum_l <dL/dG_l, G_l of the tile> + its content term, added to core and halo
is the gradient of the whole, to rounding.
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F

from cases.vgg19_style import losses
from cases.vgg19_style.tiling import Tile, choose_tile, halo_of, in_features, tiles_of


class Region(NamedTuple):
    """What one style, or a mixture, is asked of. grams: {tap: (1, C, C)}, targets per position; shares: {tap: how much
    each position counts}, a number (1 / M: everywhere) or (1, 1, h, w), a mask over its sum."""
    grams: dict
    weight: float
    shares: dict


class Objective:
    """total(x) = content * C + style * S + tv * V for pictures x (1, 3, H, W) in [0, 1]; settings: the section `loss`.

    trunk: common.features.vgg's, with all taps; content: the content picture (1, 3, H, W); styles: pictures (1, 3, h,
    w) of any size, with weights (sum 1) and masks (1, 1, H, W) or none. tile: auto, none, or pixels.
    """

    def __init__(self, trunk, content, styles, settings, weights=(1.0,), masks=(), tile="none"):
        self.trunk, self.settings, self.size = trunk, settings, tuple(content.shape[2:])
        self.tile = choose_tile(tile, trunk, self.size)
        with torch.no_grad():
            self.content = self.content_targets(content)
            grams = [self.style_targets(style) for style in styles]
        if masks:
            self.regions = [Region(*each, self.shares(mask)) for *each, mask in zip(grams, weights, masks)]
        else:  # a mixture: equal gradients to one term a style, and one Gram to compare
            mixed = {tap: sum(weight * gram[tap] for weight, gram in zip(weights, grams))
                     for tap in settings.style_taps}
            self.regions = [Region(mixed, 1.0, self.shares(None))]
        self.factors = [losses.factors(settings.form, self.content, region.grams, settings.style_weights)
                        for region in self.regions]

    # ---- parts of a picture and of its features ----------------------------------------------------------------------

    def tiles(self, size):
        """The tiles of a picture of size (height, width); the whole is one where nothing is tiled."""
        if self.tile is None:
            return [Tile((0, 0, *size), (0, 0, *size))]
        return tiles_of(size, self.tile, halo_of(self.trunk), max(self.trunk.stride(tap) for tap in self.trunk.taps))

    def core(self, features, tile):
        """The core's own positions of a crop's features {tap: (1, C, h, w)}."""
        if self.tile is None:
            return features
        return {tap: each[..., *in_features(tile, self.trunk.stride(tap))] for tap, each in features.items()}

    def part(self, whole, tap, tile):
        """The core's positions of something that covers the whole picture at a tap, (1, C, h, w); a number stays
        one."""
        if self.tile is None or not torch.is_tensor(whole):
            return whole
        return whole[..., *in_features(tile._replace(crop=(0, 0)), self.trunk.stride(tap))]

    # ---- targets -----------------------------------------------------------------------------------------------------

    def content_targets(self, content):
        """{tap: features (1, C, h, w)} of the whole content picture; remembers the taps' sizes in self.grids."""
        found, self.grids = {}, {}
        for tile in self.tiles(self.size):
            features = self.core(self.trunk(cut(content, tile.crop)), tile)
            for tap, core in features.items():
                self.grids[tap] = (tuple(core.shape[2:]) if self.tile is None
                                   else tuple(side // self.trunk.stride(tap) for side in self.size))
                if tap in self.settings.content_taps:
                    whole = found.setdefault(tap, losses.exact(core.new_empty(1, core.shape[1], *self.grids[tap])))
                    self.part(whole, tap, tile).copy_(core)
        return {tap: found[tap] for tap in self.settings.content_taps}

    def style_targets(self, style):
        """{tap: Gram per position (1, C, C)} of a style picture."""
        totals, positions = {}, {}
        for tile in self.tiles(tuple(style.shape[2:])):
            core = self.core(self.trunk(cut(style, tile.crop)), tile)
            for tap in self.settings.style_taps:
                totals[tap] = totals.get(tap, 0) + losses.gram(core[tap], share=1.0).double()
                positions[tap] = positions.get(tap, 0) + core[tap][0, 0].numel()
        return {tap: (total / positions[tap]).to(losses.exact(core[tap]).dtype) for tap, total in totals.items()}

    def shares(self, mask):
        """Region.shares of a mask (1, 1, H, W), or of none."""
        found = {}
        for tap in self.settings.style_taps:
            height, width = self.grids[tap]
            found[tap] = 1 / (height * width)
            if mask is not None:
                small = F.interpolate(mask, (height, width), mode="area")
                found[tap] = small / small.sum().clamp(min=1e-12)
        return found

    # ---- the terms ---------------------------------------------------------------------------------------------------

    def grams(self, features, tile):
        """Per region {tap: the Gram of these core features, (1, C, C)}; over all tiles they add up to the picture's."""
        return [{tap: losses.gram(features[tap], self.part(share, tap, tile)) for tap, share in region.shares.items()}
                for region in self.regions]

    def style_term(self, grams):
        """style * S of the picture's Grams, per region."""
        total = 0
        for region, factors, gram in zip(self.regions, self.factors, grams):
            for tap, target in region.grams.items():
                total = total + region.weight * factors.style[tap] * losses.square_distance(gram[tap], target).sum()
        return self.settings.style * total

    def content_term(self, features, tile):
        """content * C of core features."""
        total = 0
        for tap, target in self.content.items():
            total = total + self.factors[0].content[tap] * losses.square_distance(losses.exact(features[tap]),
                                                                                  self.part(target, tap, tile)).sum()
        return self.settings.content * total

    def terms(self, picture):
        """{content, style, tv}: the weighted terms of the whole picture at once, differentiable. Without tv where it
        weighs nothing."""
        whole = Tile((0, 0, *self.size), (0, 0, *self.size))
        features = self.trunk(picture)
        terms = {"content": self.content_term(features, whole), "style": self.style_term(self.grams(features, whole))}
        return terms | ({"tv": self.settings.tv * losses.tv(picture).sum()} if self.settings.tv else {})

    def gradient(self, picture):
        """({name: weighted term}, the gradient with respect to the picture, (1, 3, H, W)); nothing else is changed."""
        if self.tile is not None:
            return self.gradient_in_tiles(picture.detach())
        picture = picture.detach().requires_grad_()
        with torch.enable_grad():
            terms = self.terms(picture)
            slope, = torch.autograd.grad(sum(terms.values()), picture)
        return {name: term.detach() for name, term in terms.items()}, slope

    @torch.enable_grad()
    def gradient_in_tiles(self, picture):
        """gradient() in the memory of one tile: two passes forward, one back."""
        tiles, content = self.tiles(self.size), torch.zeros((), dtype=torch.float64)
        grams = self.whole_grams(picture, tiles)
        style = self.style_term(grams)
        style.backward()  # dL/dG into each Gram's .grad
        slope = torch.zeros_like(picture)
        for tile in tiles:
            crop = cut(picture, tile.crop).clone().requires_grad_()
            features = self.core(self.trunk(crop), tile)
            term = self.content_term(features, tile)
            content += term.item()
            for region, whole in zip(self.grams(features, tile), grams):
                term = term + sum((part * whole[tap].grad).sum() for tap, part in region.items())
            cut(slope, tile.crop).add_(torch.autograd.grad(term, crop)[0])
        terms = {"content": content.to(style), "style": style.detach()}
        if self.settings.tv:
            picture.requires_grad_()
            tv = self.settings.tv * losses.tv(picture).sum()
            slope, terms["tv"] = slope + torch.autograd.grad(tv, picture)[0], tv.detach()
        return terms, slope

    @torch.no_grad()
    def whole_grams(self, picture, tiles):
        """grams() of the whole picture, added up over tiles in float64; leaves that wait for a gradient."""
        totals = [{tap: 0 for tap in region.shares} for region in self.regions]
        for tile in tiles:
            features = self.core(self.trunk(cut(picture, tile.crop)), tile)
            for total, parts in zip(totals, self.grams(features, tile)):
                for tap, part in parts.items():
                    total[tap] = total[tap] + part.double()
        return [{tap: gram.to(region.grams[tap].dtype).requires_grad_() for tap, gram in total.items()}
                for total, region in zip(totals, self.regions)]


def cut(picture, box):
    """The part of (..., H, W) inside box = (top, left, bottom, right): a view."""
    return picture[..., box[0]:box[2], box[1]:box[3]]
