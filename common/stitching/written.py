"""What a stitching leaves on disk: panoramas, homographies.json, pictures of the steps in debug/."""
import json
from pathlib import Path

import cv2
import numpy as np

from common.base.files import write_whole
from common.data.images import to_tensor, write_image
from common.stitching.geometry import rescale
from common.stitching.refine import residual
from common.stitching.register import working


def write_picture(path, pixels):
    """Write uint8 or uint16 (h, w, 3) or (h, w, 4) as PNG."""
    done, data = cv2.imencode(".png", pixels[..., [2, 1, 0, 3][:pixels.shape[2]]], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    write_whole(path, data.tobytes())


def matrix_rows(H):
    """A matrix as nested lists with 10 significant digits."""
    return np.vectorize(lambda value: float(f"{value:.10g}"))(H).tolist()


def write_report(path, photos, images, layout, result, surface):
    """homographies.json: everything that was found, in pixel centres of the full-size photographs.

    photos: what became of every input, stitch.Photo. canvas.degrees: width and height of what is shown; focal (pixels
    of the reference), k1: of the camera, with which matches are camera_error thousandths of a side off (median), beside
    those of the homographies; rotation: of a photograph's axes (right, down, forward) to the surface's, whose radius is
    in pixels.
    """
    to_reference = {place: matrix_rows(H / H[2, 2]) for place, H in layout.homographies.items()}
    names = {photo.place: photo.name for photo in photos}
    entries = [{"file": photo.name, "size": None if photo.place is None else list(images[photo.place].shape[1::-1]),
                "H_to_reference": to_reference.get(photo.place), "status": photo.status, "reason": photo.reason}
               for photo in photos]
    pairs = [{"a": names[pair.a], "b": names[pair.b],
              "H_ba": None if pair.H_ba is None else matrix_rows(pair.H_ba / pair.H_ba[2, 2]),
              "method": pair.method, "matches": pair.matches, "inliers": pair.inliers,
              "overlap": None if pair.overlap is None else round(pair.overlap, 4),
              "ncc": None if pair.ncc is None else round(pair.ncc, 4),
              "reason": pair.reason} for pair in layout.pairs]
    canvas = {"origin": list(result.origin), "size": list(result.mask.shape[::-1]), "projection": surface.shape.name,
              "why": surface.why, "scale": round(surface.scale, 6)}
    if surface.fitted:
        camera = surface.fitted.cameras[layout.reference]
        canvas |= {"degrees": [round(angle, 2) for angle in surface.angles], "focal": round(camera.focal, 3),
                   "k1": round(camera.k1, 6), "camera_error": round(surface.fitted.error, 4),
                   "homography_error": round(surface.fitted.free_error, 4)}
    if surface.shape.name != "plane":
        canvas["radius"] = round(surface.shape.radius, 3)
        for entry, photo in zip(entries, photos):
            if photo.place in surface.fitted.cameras:
                entry["rotation"] = matrix_rows(surface.fitted.cameras[photo.place].rotation)
    text = json.dumps({"reference": names[layout.reference], "canvas": canvas, "photos": entries, "pairs": pairs},
                      indent=1, ensure_ascii=False)
    write_whole(path, (text + "\n").encode())


def write_debug(folder, images, layout, photos):
    """Per accepted pair, at working size: matches that agree; A, B as A sees it, the mask, the difference (gray: 0).
    Their names begin with the two numbers of the inputs, from 1.

    photos: what became of every input, stitch.Photo.
    """
    inputs = {photo.place: (number, photo.name) for number, photo in enumerate(photos, 1)}
    for pair in layout.pairs:
        if pair.H_ba is None:
            continue
        (a, scale_a), (b, scale_b) = working(images[pair.a]), working(images[pair.b])
        H = rescale(pair.H_ba[None], scale_a, scale_b)[0].numpy()
        difference, mask = residual(a.astype(np.float32), b.astype(np.float32), H)
        seen = np.where(mask[..., None], np.clip(a + difference, 0, 255), 0).astype(np.uint8)
        change = np.where(mask[..., None], np.clip(128 + difference / 2, 0, 255), 128).astype(np.uint8)
        white = np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=2)
        rows = np.vstack([np.hstack([a, seen]), np.hstack([white, change])])
        (first, name_a), (second, name_b) = inputs[pair.a], inputs[pair.b]
        stems = (Path(name).stem[:40] for name in (name_a, name_b))                     # two may be too long for a name
        stem = "_".join([f"{first:02d}_{second:02d}", *stems])
        for name, pixels in (("warp", rows), ("matches", with_lines(a, b, pair.points))):
            write_image(folder / f"{stem}_{name}.jpg", to_tensor(pixels))


def with_lines(a, b, points, most=150):
    """Two pictures side by side, lines between (n, 4) matched points: an even choice of at most `most`."""
    canvas = np.zeros((max(len(a), len(b)), a.shape[1] + b.shape[1], 3), np.uint8)
    canvas[:len(a), :a.shape[1]], canvas[:len(b), a.shape[1]:] = a, b
    points = np.zeros((0, 4)) if points is None else np.asarray(points)
    for x, y, u, v in points[::max(1, len(points) // most)]:
        cv2.line(canvas, (round(x), round(y)), (round(u) + a.shape[1], round(v)), (0, 158, 115), 1, cv2.LINE_AA)
    return canvas
