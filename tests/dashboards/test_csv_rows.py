from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from dashboards.csv_rows import csv_text

HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠x", "|calc", "%0a=1", '=1","=2', " =1", "\0=1",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_that_could_be_a_formula_is_led_by_an_apostrophe_and_reads_back_whole(text: str) -> None:
    written = csv_text(["name", "n"], [[text, 1]])
    cells = list(csv.reader(io.StringIO(written.removeprefix("\ufeff"), newline="")))[1]
    assert cells == ["'" + text.replace("\0", ""), "1"]


def test_plain_text_quotes_and_commas_read_back_equal() -> None:
    plain = ["a,b", 'say "hi"', "two\nlines", "", "gpt-4o", "x=1"]
    written = csv_text(plain, [plain])
    assert list(csv.reader(io.StringIO(written.removeprefix("\ufeff"), newline=""))) == [plain, plain]


def test_numbers_stay_numbers_and_unknown_is_empty() -> None:
    assert csv_text(["c"], [[Decimal("-0.0000000001"), None, -3, 0.5]]).endswith("\r\n-0.0000000001,,-3,0.5\r\n")
