"""Image style transfer using convolutional neural networks (Gatys et al. 2016): a picture's loss and its gradient.

    L_total(p, a, x) = alpha L_content(p, x) + beta L_style(a, x)                      (7)
    L_content(p, x, l) = 1/2 sum_ij (F_ij - P_ij)^2                                    (1)
    G_ij = sum_k F_ik F_jk                                                             (3)
    E_l = 1 / (4 N^2 M^2) sum_ij (G_ij - A_ij)^2,  L_style = sum_l w_l E_l             (4, 5)

p is the content, a the style, x the picture whose pixels are sought: what is trained is x, the network never is. F, P:
features of x and p at layer l, N maps of M positions; G, A: Gram matrices of x and a, here per position, G / M.

    trunk = vgg.load("vgg19", [*STYLE_TAPS, "relu4_2"])                                # common.features.vgg
    terms, slope = Objective(trunk, p, [a]).gradient(x)
"""
import torch
from torch import nn
from torch.nn.functional import interpolate

from cases.vgg19_style import losses
from cases.vgg19_style.tiling import WHOLE, choose_tile, halo_of, tiles_of

STYLE_TAPS = "relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"


class ContentLoss(nn.Module):
    """factor * sum_ij (F_ij - P_ij)^2 at the layer `tap`: equation 1 for the factor 1/2.

    P: the content's features, (1, N, h, w)."""

    def __init__(self, tap, P, factor=0.5):
        super().__init__()
        self.tap, self.factor = tap, factor
        self.register_buffer("P", P, persistent=False)

    def forward(self, F, place=...):
        """F: features (1, N, h, w), or a part of them, which lies at the index `place`."""
        return self.factor * losses.square_distance(losses.exact(F), self.P[place]).sum()


class StyleLoss(nn.Module):
    """factor * sum_ij (G_ij - A_ij)^2 at the layer `tap`: w_l E_l of equation 4 for the factor w_l / (4 N^2).

    A: the style's Gram per position, (1, N, N), of a picture of any size. size: (h, w) of the layer, M = h w. mask:
    (1, 1, H, W) in [0, 1], where the style belongs: G is of what it shows (Gatys et al. 2017, spatial control).
    """

    def __init__(self, tap, A, factor, size, mask=None):
        super().__init__()
        self.tap, self.factor = tap, factor
        self.register_buffer("A", A, persistent=False)
        self.share = 1 / (size[0] * size[1])                            # how much each position counts: 1 / M
        if mask is not None:
            small = interpolate(mask, size, mode="area")
            self.share = small / small.sum().clamp(min=1e-12)

    def gram(self, F, place=...):
        """G (1, N, N) of features; of parts at the indices `place` those that add up to the whole's."""
        return losses.gram(F, self.share[place] if torch.is_tensor(self.share) else self.share)

    def forward(self, G):
        return self.factor * losses.square_distance(G, self.A).sum()


class Objective(nn.Module):
    """L_total(x) = alpha L_content + beta L_style + tv V + chroma C of pictures x (1, 3, H, W) in [0, 1].

    V and C are not in the paper. V, the total variation, keeps noise away (Johnson et al. 2016); C, by how much the
    finest detail of x is more coloured than the style's, coloured speckle (losses.chroma_excess).
    temporal: weight of trust * (x - carried)^2, mean over pixels: the frame of a video stays near the one before it,
    carried along (1, 3, H, W), where that can be trusted (1, 1, H, W), in [0, 1].
    trunk: common.features.vgg's, with all taps. content: (1, 3, H, W). styles: pictures (1, 3, h, w) of any size, with
    weights (sum 1) and masks (1, 1, H, W) or none. form, style_weights: see losses.factors. tile: auto, none or pixels.
    """

    def __init__(self, trunk, content, styles, *, content_taps=("relu4_2",), style_taps=STYLE_TAPS, form="gatys",
                 style_weights=(), alpha=1.0, beta=1e3, tv=0.0, chroma=0.0, weights=(1.0,), masks=(),
                 tile="none", temporal=0.0, carried=None, trust=None):
        super().__init__()
        self.trunk, self.alpha, self.beta, self.tv, self.chroma = trunk, alpha, beta, tv, chroma
        self.temporal, self.carried, self.trust = temporal, carried, trust
        self.fine_chroma = sum(weight * losses.fine_chroma(style) for weight, style in zip(weights, styles))
        self.size = tuple(content.shape[2:])
        self.tile = choose_tile(tile, trunk, self.size)
        P, sizes = self.content_targets(content, content_taps)
        grams = [self.style_targets(style, style_taps) for style in styles]
        if not masks:  # a mixture: equal gradients to one loss a style, and one Gram to compare
            mixed = {}
            for tap in style_taps:
                mixed[tap] = sum(weight * A[tap] for weight, A in zip(weights, grams))
            grams, weights, masks = [mixed], [1.0], [None]
        factors = [losses.factors(form, P, A, style_weights) for A in grams]
        self.content = nn.ModuleList(ContentLoss(tap, P[tap], factors[0].content[tap]) for tap in content_taps)
        self.style = nn.ModuleList(StyleLoss(tap, A[tap], weight * factor.style[tap], sizes[tap], mask)
                                   for A, weight, factor, mask in zip(grams, weights, factors, masks)
                                   for tap in style_taps)

    def forward(self, x):
        """L_total(x), differentiable."""
        return sum(self.terms(x).values())

    def terms(self, x):
        """{content, style, tv, chroma}: the weighted terms of the whole picture, differentiable; none that weighs 0."""
        features = self.trunk(x)
        terms = {"content": self.content_term(features), "style": self.style_term(self.grams(features))}
        return terms | self.variation(x)

    def content_term(self, features, tile=WHOLE):
        """alpha L_content of {tap: F (1, N, h, w)}, the features of a tile's core."""
        return self.alpha * sum(loss(features[loss.tap], tile.place(self.trunk.stride(loss.tap)))
                                for loss in self.content)

    def grams(self, features, tile=WHOLE):
        """[G (1, N, N)], one for each style loss; over all tiles they add up to the picture's."""
        return [loss.gram(features[loss.tap], tile.place(self.trunk.stride(loss.tap))) for loss in self.style]

    def style_term(self, grams):
        """beta L_style of the picture's Grams."""
        return self.beta * sum(loss(G) for loss, G in zip(self.style, grams))

    def variation(self, x):
        """{tv, chroma, temporal: weighted}, the terms of x that need no features; those that weigh something."""
        terms = {"tv": self.tv * losses.tv(x).sum()} if self.tv else {}
        if self.chroma:
            terms["chroma"] = self.chroma * losses.chroma_excess(x, self.fine_chroma).sum()
        if self.temporal:
            terms["temporal"] = self.temporal * (self.trust * (x - self.carried).square()).mean()
        return terms

    def gradient(self, x):
        """({name: weighted term}, dL_total / dx, (1, 3, H, W)); nothing else is changed."""
        if self.tile is not None:
            return self.gradient_in_tiles(x.detach())
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            terms = self.terms(x)
            slope, = torch.autograd.grad(sum(terms.values()), x)
        return {name: term.detach() for name, term in terms.items()}, slope

    # ---- tile by tile: Grams and sums over positions are all that the loss asks of the features ----------------------

    @torch.enable_grad()
    def gradient_in_tiles(self, x):
        """gradient() in the memory of one tile, the same to rounding: two passes forward, one back.

        Pass A, without gradient: G = the sum over tiles of the Gram of the tile's own positions; then dL / dG. Pass B:
        per tile the gradient of sum <dL / dG, G of the tile> + its content term, added to core and halo.
        """
        grams = self.whole_grams(x)
        style, content = self.style_term(grams), torch.zeros((), dtype=torch.float64)
        style.backward()                                                # dL / dG into each Gram's .grad
        slope = torch.zeros_like(x)
        for tile in self.tiles(x):
            crop = x[tile.window].clone().requires_grad_()
            features = self.core(crop, tile)
            term = self.content_term(features, tile)
            content += term.item()
            for part, G in zip(self.grams(features, tile), grams):
                term = term + (part * G.grad).sum()
            slope[tile.window].add_(torch.autograd.grad(term, crop)[0])
        terms = {"content": content.to(style), "style": style.detach()}
        for name, term in self.variation(x.requires_grad_()).items():
            slope, terms[name] = slope + torch.autograd.grad(term, x)[0], term.detach()
        return terms, slope

    @torch.no_grad()
    def whole_grams(self, x):
        """grams() of the whole picture, added up over tiles in float64; leaves that wait for a gradient."""
        totals = [0] * len(self.style)
        for tile in self.tiles(x):
            parts = self.grams(self.core(x[tile.window], tile), tile)
            totals = [total + part.double() for total, part in zip(totals, parts)]
        return [total.to(loss.A.dtype).requires_grad_() for total, loss in zip(totals, self.style)]

    @torch.no_grad()
    def content_targets(self, content, content_taps):
        """({tap: P (1, N, h, w)} of the whole content picture, {tap: (h, w)} of all taps)."""
        targets, sizes = {}, {}
        for tile in self.tiles(content):
            for tap, F in self.core(content[tile.window], tile).items():
                sizes[tap] = F.shape[2:] if tile is WHOLE else [side // self.trunk.stride(tap) for side in self.size]
                if tap in content_taps:
                    P = targets.setdefault(tap, losses.exact(F.new_empty(1, F.shape[1], *sizes[tap])))
                    P[tile.place(self.trunk.stride(tap))] = F
        return targets, sizes

    @torch.no_grad()
    def style_targets(self, style, style_taps):
        """{tap: A (1, N, N), the Gram per position} of a style picture."""
        totals, positions = dict.fromkeys(style_taps, 0), dict.fromkeys(style_taps, 0)
        for tile in self.tiles(style):
            features = self.core(style[tile.window], tile)
            for tap in style_taps:
                totals[tap] = totals[tap] + losses.gram(features[tap], share=1.0).double()
                positions[tap] += features[tap][0, 0].numel()
        return {tap: (total / positions[tap]).to(losses.exact(features[tap]).dtype) for tap, total in totals.items()}

    def tiles(self, picture):
        """The tiles of a picture; the whole is one where nothing is tiled."""
        if self.tile is None:
            return [WHOLE]
        deepest = self.trunk.stride(self.trunk.names[-1])
        return tiles_of(tuple(picture.shape[2:]), self.tile, halo_of(self.trunk), deepest)

    def core(self, crop, tile):
        """{tap: F (1, N, h, w)} of a tile's core, from its crop."""
        return {tap: F[tile.inside(self.trunk.stride(tap))] for tap, F in self.trunk(crop).items()}
