"""What stitching one's own photographs says: of each of them what became of it, under its own name."""
from types import SimpleNamespace

from common.experiment.settings import resolve
from common.stitching import estimators
from common.stitching.stitch import Photo, Stitched


def test_what_became_of_every_photograph_is_said(tmp_path, monkeypatch, capsys):
    photos = [Photo("a.png", "stitched", None, 0), Photo("b.png", "unreadable", "a web page", None),
              Photo("c.png", "left out", "no overlap", 1), Photo("d.png", "no new content", None, 2)]
    monkeypatch.setattr(estimators, "stitch", lambda *_: Stitched(None, photos, "a plane"))
    monkeypatch.setattr(estimators, "picture_files", lambda given: ([], []))
    run = SimpleNamespace(options=SimpleNamespace(input=[]), config=resolve("udis").config, folder=tmp_path, say=print,
                          settle_folder=lambda *_: tmp_path)
    estimators.stitch_own(run, None, None)
    said = capsys.readouterr()
    assert said.err == ("warning: b.png is unreadable: a web page\nwarning: c.png is left out: no overlap\n"
                        "note: d.png shows no new content\n")
    assert "4 photographs: 1 stitched, 1 unreadable, 1 left out, 1 no new content" in said.out
