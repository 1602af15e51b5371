"""What a network costs: parameters, and multiplications for each pixel of the large picture."""
from cases.super_resolution.drawing.diagram import trace
from cases.super_resolution.model import PaperNetwork

VDSR = (664_704, 664_704)       # 20 layers of 3x3, 64 wide, on the enlarged luma (Kim et al. 2016): no place is saved
PUBLISHED = {                   # (set, scale): {name: psnr_y} as their authors print it
    ("Set5", 2): {"VDSR": 37.53}, ("Set5", 4): {"VDSR": 31.35, "SRResNet": 32.05},
    ("Set14", 2): {"VDSR": 33.03}, ("Set14", 4): {"VDSR": 28.01, "SRResNet": 28.49}}


def costs_of(network, scale):
    """(parameters, multiplications of the convolutions for a pixel of the large picture) of one scale's network."""
    layers, total = trace(network), 0
    for layer in layers:
        if layer["kind"].startswith("conv"):
            channels, height, width = layer["outputs"]
            total += (layer["parameters"] - channels) * height * width
    return sum(map(lambda tensor: tensor.numel(), network.parameters())), total / (24 * scale)**2


def published(set_name, scale):
    """[(name, psnr_y, parameters, multiplications)] of networks whose authors measured on this set at this scale."""
    costs = {"VDSR": VDSR}
    if scale != 3:
        costs["SRResNet"] = costs_of(PaperNetwork(scale, "none").eval(), scale)
    return [(name, value, *costs[name]) for name, value in PUBLISHED.get((set_name, scale), {}).items()]
