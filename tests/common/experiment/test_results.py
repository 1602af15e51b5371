"""Result folders: what they belong to, how they are finished after a stop, what their numbers are."""
import csv
import json
import math

import pytest

from common.base.errors import UserError
from common.experiment.results import (
    TestResults,
    file_name,
    merge_json,
    number_text,
    summary,
    write_json,
    write_manifest,
)


def results(folder, **changes):
    arguments = {"weights": "w1", "settings": {"seed": 0}, "data": "d1", "rows": ["gt_free", "gamma/gt_free"],
                 "metrics": ["psnr", "ssim"],
                 "classings": ["light"]} | changes
    return TestResults(folder, "eval15", **arguments)


def fill(found, items, value=10.0):
    for item in items:
        path = found.image_path(item, "gamma/gt_free")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
        found.add(item, {"gt_free": ({"psnr": value, "ssim": 0.5}, None), "gamma/gt_free": ({"psnr": value + 1}, path)},
                  f"eval15/high/{item}.png", {"light": "dark" if item == "1" else "bright"})


def lines(folder):
    with open(folder / "test" / "eval15" / "items.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_means_and_classes(tmp_path):
    found = results(tmp_path)
    fill(found, ["2", "1"])
    content = found.finish(["1", "2"])
    assert content == json.loads((tmp_path / "test/eval15/metrics.json").read_text())
    one = {"psnr": 10.0, "ssim": 0.5, "count": 1}
    assert content["gt_free"] == {"psnr": 10.0, "ssim": 0.5, "count": 2, "by": {"light": {"bright": one, "dark": one}}}
    assert content["gamma/gt_free"]["psnr"] == 11.0 and "ssim" not in content["gamma/gt_free"]
    table = lines(tmp_path)
    assert list(table[0]) == ["item", "row", "status", "reason", "image", "reference", "psnr", "ssim", "by_light"]
    assert [(line["item"], line["row"]) for line in table] == [("1", "gt_free"), ("1", "gamma/gt_free"),
                                                               ("2", "gt_free"), ("2", "gamma/gt_free")]
    assert table[1]["image"] == "images/gamma-gt_free/1.png" and table[1]["ssim"] == ""
    assert table[0]["psnr"] == "10.000000"
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["weights"] == {"test/eval15": "w1"}
    assert {entry["path"] for entry in manifest["files"]} == {
        "test/eval15/items.csv", "test/eval15/metrics.json", "test/eval15/config.yaml",
        "test/eval15/images/gamma-gt_free/1.png", "test/eval15/images/gamma-gt_free/2.png"}


def test_infinite_values_are_left_out_of_means_and_counted(tmp_path):
    found = results(tmp_path)
    fill(found, ["1"], math.inf)
    fill(found, ["2"], 20.0)
    content = found.finish(["1", "2"])
    assert content["gt_free"]["psnr"] == 20.0 and content["gt_free"]["left_out"] == {"psnr": 1}
    assert lines(tmp_path)[0]["psnr"] == "inf"
    assert summary([{"psnr": "inf"}], ["psnr"]) == {"psnr": None, "count": 1, "left_out": {"psnr": 1}}


def test_the_same_again_finishes_what_is_missing(tmp_path):
    found = results(tmp_path)
    fill(found, ["1"])
    path = tmp_path / "test/eval15/items.csv"
    path.write_text(path.read_text() + "2,gt_free,ok,")           # killed in the middle of a line
    again = results(tmp_path)
    assert again.has("1") and not again.has("2")
    fill(again, ["2"])
    assert again.finish(["1", "2"])["gt_free"]["count"] == 2
    assert results(tmp_path).has("2")


@pytest.mark.parametrize("change", [{"weights": "w2"}, {"settings": {"seed": 1}}, {"data": "d2"}, {"rows": ["gt_free"]},
                                    {"fresh": True}])
def test_other_weights_settings_or_data_build_a_new_folder_and_replace_the_old_whole(tmp_path, change):
    fill(first := results(tmp_path), ["1", "2"])
    first.finish(["1", "2"])
    old = (tmp_path / "test/eval15/items.csv").read_bytes()
    second = results(tmp_path, **change)
    assert not second.has("1"), "results of something else must never be reused"
    assert (tmp_path / "test/eval15/items.csv").read_bytes() == old, "the old result stays until the new one is whole"
    for item in ("1", "2"):
        second.add(item, {row: ({"psnr": 5.0}, None) for row in second.rows})
    second.finish(["1", "2"])
    assert lines(tmp_path)[0]["psnr"] == "5.000000"
    assert [path.name for path in (tmp_path / "test").iterdir()] == ["eval15"]


def test_failed_items_are_recorded_and_tried_again(tmp_path):
    found = results(tmp_path)
    fill(found, ["1"])
    found.fail("2", "it is empty")
    content = found.finish(["1", "2"])
    assert content["gt_free"]["count"] == 1 and found.failures() == [("2", "it is empty")]
    assert [line["status"] for line in lines(tmp_path)] == ["ok", "ok", "failed", "failed"]
    again = results(tmp_path)
    assert again.has("1") and not again.has("2")
    fill(again, ["2"])
    assert again.finish(["1", "2"])["gt_free"]["count"] == 2 and not again.failures()


def test_columns_of_another_test_are_refused(tmp_path):
    fill(found := results(tmp_path), ["1"])
    path = found.folder / "items.csv"
    path.write_text(path.read_text().replace("ssim", "other"))
    with pytest.raises(UserError, match="--fresh"):
        results(tmp_path)


def test_manifest_keeps_the_lines_of_others(tmp_path):
    for part in ("train", "test/a", "figures"):
        (tmp_path / part).mkdir(parents=True)
        (tmp_path / part / "x.csv").write_text(part)
        (tmp_path / part / "x.png").write_bytes(b"1")
        write_manifest(tmp_path, part, part)
    (tmp_path / "train" / "x.csv").write_text("other")
    (tmp_path / "test/a/x.csv").unlink()
    write_manifest(tmp_path, "test/a", "new")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [entry["path"] for entry in manifest["files"]] == ["figures/x.csv", "test/a/x.png", "train/x.csv",
                                                              "train/x.png"]
    assert next(entry["size"] for entry in manifest["files"] if entry["path"]
                == "train/x.csv") == len("train"), "not rewritten by others"
    assert manifest["weights"] == {"figures": "figures", "test/a": "new", "train": "train"}


def test_numbers_as_written():
    assert [number_text(value) for value in (1, 0.1234567, math.inf, -math.inf, math.nan, None)] == ["1.000000",
                                                                                                     "0.123457", "inf",
                                                                                                     "-inf", "nan", ""]


def test_merge_json_replaces_only_its_key(tmp_path):
    merge_json(tmp_path / "e.json", {"train": {"seconds": 1}})
    merge_json(tmp_path / "e.json", {"test": {"seconds": 2}})
    assert json.loads((tmp_path / "e.json").read_text()) == {"train": {"seconds": 1}, "test": {"seconds": 2}}


def test_a_metric_without_a_line_in_the_table_cannot_be_written(tmp_path):
    """Neither as a column of items.csv nor added to metrics.json afterwards."""
    def results(metrics):
        return TestResults(tmp_path, "val", weights="w", settings={}, data=[], rows=["network"], metrics=metrics)
    with pytest.raises(UserError, match="unknown metrics: .*val: nobody_knows: a line .* was expected"):
        results(["psnr", "nobody_knows"])
    test = results(["psnr"])
    test.add("1", {"network": ({"psnr": 20.0}, None)})
    content = test.finish(["1"])
    write_json(test.final / "metrics.json", {row: values | {"psnr_frames": 1.0} for row, values in content.items()})
    with pytest.raises(UserError, match="psnr_frames"):
        test.enter()


@pytest.mark.parametrize(("item", "name"), [
    ("a:b?", "a%3Ab%3F"), ("nul", "_nul"), ("COM1.x", "_COM1.x"), ("a.", "a%2E"), ("gamma/gt_free", "gamma-gt_free"),
    ("a\\b", "a-b"), ("夜", "夜")])
def test_a_result_has_a_name_that_every_system_takes(item, name):
    assert file_name(item) == name
