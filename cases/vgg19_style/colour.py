"""Keeping the content's colours (Gatys et al. 2016, Preserving Color; 2017, section 5).

Pictures are (1, 3, H, W) in [0, 1]."""
import torch

LUMINANCE = torch.tensor([0.299, 0.587, 0.114])


def luminance(picture):
    """Y = .299 R + .587 G + .114 B: (1, 1, H, W)."""
    return (picture * LUMINANCE.to(picture).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def with_luminance_of(content, painted):
    """The content with the painted picture's luminance: R, G and B change alike, so the colours stay. Clipped."""
    return (content + luminance(painted) - luminance(content)).clamp(0, 1)


def match_luminance(style, content):
    """The style in gray, with the content's mean and spread: Y' = (s_c / s_s) (Y - m_s) + m_c, three times. Clipped."""
    y_s, y_c = luminance(style), luminance(content)
    spread = y_c.std(correction=0) / y_s.std(correction=0).clamp(min=1e-5)
    return (spread * (y_s - y_s.mean()) + y_c.mean()).clamp(0, 1).expand(-1, 3, -1, -1)


def statistics(picture):
    """(mean (3, 1), covariance (3, 3)) of the colours, population, float64."""
    colours = picture[0].flatten(1).double()
    mean = colours.mean(dim=1, keepdim=True)
    return mean, (colours - mean) @ (colours - mean).mT / colours.shape[1]


def cholesky_matrix(style, content, eps=1e-5):
    """(A (3, 3), b (3, 1)) of x' = A x + b that gives the style the content's mean and covariance.

    A = L_c L_s^-1, C = L L^T. eps I is added to both covariances, for gray pictures."""
    (mean_s, C_s), (mean_c, C_c) = statistics(style), statistics(content)
    L_s, L_c = (torch.linalg.cholesky(C + eps * torch.eye(3, dtype=C.dtype, device=C.device)) for C in (C_s, C_c))
    A = L_c @ torch.linalg.inv(L_s)
    return A, mean_c - A @ mean_s


def match_cholesky(style, content):
    """The style with the content's colours (see cholesky_matrix). Clipped."""
    A, b = cholesky_matrix(style, content)
    return (A @ style[0].flatten(1).double() + b).view(style.shape).to(style.dtype).clamp(0, 1)
