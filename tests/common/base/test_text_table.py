"""Tables for a terminal: columns line up, and nothing of a cell is lost."""
from common.base.text_table import format_table


def test_columns_line_up():
    lines = format_table(["method", "PSNR", "n"], [["network", "16.50", 4], ["gamma", "7.25", 12]], ("<8", ">6", ">2"))
    assert lines == ["method     PSNR  n",
                     "network   16.50  4",
                     "gamma      7.25 12"]


def test_a_wide_cell_pushes_its_own_line_and_the_last_column_is_free():
    lines = format_table(["verdict", "name"], [["same", "a name too long", "why"], ["other", "b", ""]], ("<8", "<4"),
                         gap="  ")
    assert lines == ["verdict   name", "same      a name too long  why", "other     b     "]


def test_compare_prints_its_table_like_this():
    value = ("eval15", "gt_ratio", "psnr", "22.28", "20.28", " worse")
    header, line = format_table(["set", "row", "metric", "reference", "submission"], [value],
                                ("<12", "<24", "<14", ">12", ">12"))
    assert f"  {header}" == ("  set          row                      metric            reference   submission")
    assert f"  {line}" == ("  eval15       gt_ratio                 psnr                  22.28        20.28  worse")
