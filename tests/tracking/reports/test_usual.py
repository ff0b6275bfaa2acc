from __future__ import annotations

from decimal import Decimal

from tracking.reports.usual import at, change, forecast, running_total, usual_day

D = Decimal


def day(**hours: str) -> list[Decimal]:
    """24 hourly spends; h9="1.5" is 1.5 USD between nine and ten."""
    return [D(hours.get(f"h{hour}", "0")) for hour in range(24)]


def test_a_usual_day_is_the_median_hour_by_hour_with_the_lowest_and_highest_beside_it() -> None:
    usual = usual_day([day(h9="1", h20="1"), day(h9="3"), day(h9="2", h10="2")])
    assert usual is not None
    assert usual.days == 3
    assert [usual.low[10], usual.median[10], usual.high[10]] == [D(1), D(2), D(3)]
    assert [usual.low[24], usual.median[24], usual.high[24]] == [D(2), D(3), D(4)]
    assert usual.median[9] == 0


def test_only_the_eight_latest_days_count() -> None:
    usual = usual_day([day(h1="1")] * 8 + [day(h1="100")] * 30)
    assert usual is not None
    assert (usual.days, usual.high[24]) == (8, D(1))


def test_a_team_without_a_past_day_has_no_usual_day_and_no_forecast() -> None:
    assert usual_day([]) is None
    assert forecast(D(5), None, D(12)) is None


def test_a_time_between_full_hours_lies_on_a_straight_line() -> None:
    curve = running_total(day(h9="4"))
    assert [at(curve, D(h)) for h in ("8.5", "9", "9.25", "10", "24", "25")] == [D(0), D(0), D(1), D(4), D(4), D(4)]


def test_change_is_a_share_and_cannot_be_said_of_nothing() -> None:
    assert change(D("1.12"), D(1)) == D("0.12")
    assert change(D(1), D(0)) is None
    assert change(None, D(1)) is None
    assert change(D(1), None) is None


def test_the_forecast_stretches_the_rest_of_the_usual_day() -> None:
    usual = usual_day([day(h1="2", h20="3")])
    assert forecast(D(2), usual, D(12)) == D(5)
    assert forecast(D("3.25"), usual, D(12)) == D("7.75"), "half as much again of what was to be seen, and a calm tenth"
    assert forecast(D(0), usual, D(12)) == D("1.5"), "a quiet morning still expects half of the usual rest"
    assert forecast(D(400), usual, D(12)) == D(406), "one dear run is not taken for the pace of the day"
    assert forecast(D("0.5"), usual, D("0.5")) == D("10.5"), "before the usual day begins little is to be seen"
    assert forecast(D(9), usual, D(24)) == D(9)
