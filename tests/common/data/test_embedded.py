"""The pictures that come with the repository: each has its licence, opens, and is what its name says."""
import re
import subprocess

import pytest

from common.base.paths import EMBEDDED, ROOT
from common.data.images import read_pixels

PICTURES = sorted(EMBEDDED.rglob("*.jpg"))
LICENCES = (EMBEDDED / "LICENCES.md").read_text(encoding="utf-8")


def test_every_file_stands_in_the_licences():
    """In the table of its own folder, under its name or as part of a range (`berlin_1.jpg` to `berlin_6.jpg`)."""
    for path in EMBEDDED.rglob("*.*"):
        place = path.relative_to(EMBEDDED)
        if len(place.parts) == 1:
            continue
        table = LICENCES.split(f"## {place.parts[0]}/")[1].split("\n## ")[0]
        lines = [line for line in table.splitlines() if line.startswith("| `")]
        names = [place.parts[1] + "/" if len(place.parts) > 2 else place.name]
        names.append(re.sub(r"_\d\.jpg", "_1.jpg", place.name))
        assert any(f"`{name}`" in line for line in lines for name in names), place


def test_every_licence_line_has_its_files():
    for folder, table in re.findall(r"\n## (\w+)/\n(.*?)(?=\n## )", LICENCES, re.S):
        for line in (line for line in table.splitlines() if line.startswith("| `")):
            for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
                assert (EMBEDDED / folder / name).exists(), name


def test_licences_that_want_their_text_have_it():
    for text in ("Permission is hereby granted, free of charge, to any person obtaining a copy of this software",
                 "Boost Software License - Version 1.0", "https://creativecommons.org/licenses/by/4.0/", "Intel"):
        assert text in LICENCES
    assert "Apache License" in (EMBEDDED / "Apache-2.0.txt").read_text(encoding="utf-8")
    assert "the authors of vision-reproductions" in (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.relative_to(EMBEDDED).as_posix())
def test_it_opens_and_tells_nothing_of_its_camera(path):
    picture = read_pixels(path)
    assert picture.ndim == 3 and min(picture.shape[:2]) >= 200
    assert b"Exif\0\0" not in path.read_bytes()


def test_first_boxes_lie_in_their_frames():
    boxes = sorted(EMBEDDED.glob("clips/*/first_box.txt"))
    assert len(boxes) == 3
    for path in boxes:
        x, y, width, height = map(float, path.read_text().split(","))
        frame = read_pixels(path.with_name("img") / "0001.jpg")
        assert x >= 1 and y >= 1 and x - 1 + width <= frame.shape[1] and y - 1 + height <= frame.shape[0]


def test_the_garden_is_one_scene_at_four_exposures():
    levels = [read_pixels(EMBEDDED / "dark" / f"garden_{name}.jpg").mean() for name in
              ("bright", "dark1", "dark2", "dark3")]
    assert levels == sorted(levels, reverse=True) and levels[0] > 2 * levels[1]
    shapes = {read_pixels(path).shape for path in EMBEDDED.glob("dark/garden_*.jpg")}
    assert len(shapes) == 1


def test_the_folder_is_small_and_tracked():
    files = [path for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5.5e6
    command = ["git", "check-ignore", "--no-index", *map(str, files)]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not ignored.stdout.strip()
