"""Boxes, labels and trails on frames, in the colours of the figures."""
import cv2
import numpy as np
from PIL import Image, ImageColor

from common.experiment.figures import COLOURS

SHADES = {"truth": "#FFFFFF", "siamfc": COLOURS[1], "published": COLOURS[0], "mil": COLOURS[2], "klt": COLOURS[3],
          "mosse": COLOURS[4], "static": COLOURS[7], "untrained": COLOURS[5], "csrt": COLOURS[6], "kcf": "#7A4B9C",
          "lost": "#E00000"}


def colour(name):
    """RGB of a row's colour; of a number the palette's."""
    number = name if isinstance(name, int) else sum(map(ord, name))
    return ImageColor.getrgb(SHADES.get(name) or COLOURS[number % len(COLOURS)])


def outline(picture, box, name, width=None):
    """Draw a box (x, y, w, h), 1-based, into an RGB picture, with a thin dark edge around it."""
    if not np.isfinite(box).all():
        return
    low, high = np.add(box[:2], -1), np.add(box[:2], box[2:]) - 2
    corners = np.clip(np.round([low, high]), -10000, 10000).astype(int).tolist()
    width = width or max(1, round(max(picture.shape[:2]) / 250))
    cv2.rectangle(picture, *corners, (0, 0, 0), width + 2)
    cv2.rectangle(picture, *corners, colour(name), width)


def trail(picture, boxes, name):
    """The way of the centres of all boxes."""
    centres = boxes[:, :2] - 1 + (boxes[:, 2:] - 1) / 2
    points = np.clip(np.round(centres), -10000, 10000).astype(np.int32)
    cv2.polylines(picture, [points[:, None]], False, colour(name), 1, cv2.LINE_AA)


def label(picture, text, corner, name):
    """A line of ASCII text on a dark ground, its lower left corner at `corner` (x, y)."""
    size = max(0.35, max(picture.shape[:2]) / 1400)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = int(np.clip(corner[0], 0, max(0, picture.shape[1] - width)))
    y = int(np.clip(corner[1], height + 2, picture.shape[0] - below))
    cv2.rectangle(picture, (x, y - height - 2), (x + width, y + below), (0, 0, 0), -1)
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour(name), 1, cv2.LINE_AA)


def save(path, picture):
    """Write an RGB picture as PNG, making the folder; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, compress_level=6)
    return path
