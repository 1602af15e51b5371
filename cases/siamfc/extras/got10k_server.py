"""The zip that GOT-10k's server takes: its test sequences have labels for the first frame alone.

test.py comes here for the split `test`. The numbers come back from the server, so there are no metrics.
"""
import json
import zipfile

from cases.siamfc.baselines.trackers import following, tracker_of
from cases.siamfc.sequences import write_boxes
from common.base.files import part_of
from common.base.progress import watch
from common.experiment.results import write_json, write_text


def write_submission(run, network, weights, folder):
    """Track all sequences and write SiamFC.zip with NAME/NAME_001.txt (boxes) and NAME/NAME_time.txt (seconds)."""
    track = following(lambda: tracker_of(run, network))
    target = run.folder / "submission"
    settings = {"weights": weights.digest, "settings": run.resolved.judged_settings()}
    mark = target / "made_by.json"
    if run.options.fresh or not mark.exists() or json.loads(mark.read_text(encoding="utf-8")) != settings:
        for old in target.glob("*/*.txt"):
            old.unlink()
        write_json(mark, settings)
    for name in watch(folder.names, "tracking GOT-10k test"):
        times = target / name / f"{name}_time.txt"
        if not times.exists():
            boxes, seconds = track(folder[name])
            write_boxes(target / name / f"{name}_001.txt", boxes, digits=3)
            write_text(times, f"{seconds / len(boxes):.8f}\n" * len(boxes))
    path = run.folder / "SiamFC.zip"
    part = part_of(path)
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in folder.names:
            for file in sorted((target / name).glob(f"{name}_*.txt")):
                archive.write(file, f"{name}/{file.name}")
    part.replace(path)
    run.record("submission", paths=run.machine(), weights=str(weights.path))
    run.say(f"GOT-10k keeps the labels of `test` to itself, so there are no numbers here: upload {path} at "
            "http://got-10k.aitestunion.com/submit_instructions")
