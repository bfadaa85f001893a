"""A calibration as tables and as a page of plots."""

import hashlib
import html
import io
import json
import math
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from processes import python
from rich.console import Console

from mm_nautilus.calibration.figures import (
    Calibration,
    CalibrationSource,
    FeeFigures,
    IntensityFit,
    IntensityPoint,
    MarkOut,
    MicropriceFigures,
    SignaturePoint,
    SpreadFigures,
    SymbolCalibration,
    VolatilityFigures,
)
from mm_nautilus.report.calibration import calibration_view
from mm_nautilus.report.calibration_plot import calibration_figures, calibration_page
from mm_nautilus.report.html import plotly_basic

ROOT = Path(__file__).resolve().parents[2]

START = datetime(2025, 12, 13, 12, tzinfo=UTC)


def fit(a=0.5, kappa=2.0):
    return IntensityFit(
        a_per_second=a,
        a_standard_error=0.025,
        kappa_per_bps=kappa,
        kappa_standard_error=0.1,
        r_squared=0.987,
        chi_squared_per_degree=1.25,
        fitted_from_bps=0.25,
        fitted_to_bps=1.5,
        arrivals=1234,
        points=[
            IntensityPoint(depth_bps=depth, arrivals=count, intensity_per_second=count / 1000)
            for depth, count in ((0.5, 400), (1.0, 100), (1.5, 25), (2.0, 0))
        ],
    )


def symbol(**changes):
    figures = {
        "start": START,
        "end": START + timedelta(minutes=30),
        "seconds": 1800.0,
        "spread": SpreadFigures(
            mid_price=2.351223901822445e-05,
            tick_bps=4.253,
            median_spread_bps=8.506,
            median_spread_ticks=2.0,
            market_orders=3900,
            trades=4056,
        ),
        "volatility": VolatilityFigures(
            volatility_bps=0.8759,
            standard_error_bps=0.1512,
            interval_seconds=60.0,
            one_minute_pct=0.06668,
            event_time_bps=0.3391,
            mid_moves=6432,
            signature=[
                SignaturePoint(
                    interval_seconds=1.0, volatility_bps=0.9, standard_error_bps=0.037, returns=1799
                ),
                SignaturePoint(
                    interval_seconds=60.0, volatility_bps=0.8759, standard_error_bps=0.1512, returns=29
                ),
            ],
        ),
        "intensity": fit(),
        "intensity_bid": fit(a=0.4, kappa=2.5),
        "intensity_ask": None,
        "microprice": MicropriceFigures(
            imbalance_buckets=4,
            spread_ticks=[1, 3, 4],
            adjustment_ticks=[[-0.5, -0.25, 0.25, 0.5], [-0.4, -0.1, 0.1, 0.4], [-0.3, 0.0, 0.0, 0.3]],
            observations=[[10, 20, 30, 1040], [1, 1, 1, 1], [5, 5, 5, 5]],
        ),
        "mark_outs": [MarkOut(seconds=5.0, mark_out_bps=-0.26071, standard_error_bps=0.1021, trades=6697)],
        "fees": FeeFigures(
            maker_fee_bps=25.0,
            edge_at_touch_bps=-20.747,
            best_half_width_bps=25.5,
            best_fills_per_hour=1.37e-9,
            best_bps_per_hour=5.8e-10,
            pays=False,
            verdict="a fill at the touch earns 4.25 bps <before> a fee of 25 bps: it cannot pay",
        ),
    }
    return SymbolCalibration(**(figures | changes))


def calibration(*, simulated=True, **symbols):
    return Calibration(
        version=1,
        created=START,
        source=CalibrationSource(catalog="my & catalog", venue="KRAKEN", simulated=simulated),
        symbols=symbols or {"XRP/BTC": symbol()},
    )


def printed(document, width=160):
    stream = io.StringIO()
    Console(file=stream, width=width).print(calibration_view(document))
    return [line.strip() for line in stream.getvalue().splitlines()]


def test_a_fit_through_two_depths_has_no_goodness_anywhere():
    two = fit().model_copy(update={"r_squared": 1.0, "chi_squared_per_degree": None, "compared_depths": 2})
    found = calibration(**{"XRP/BTC": symbol(intensity=two, intensity_bid=two)})
    lines = printed(found)
    assert cells(lines, "R squared of the log intensity") == ["-", "-", "-"]
    assert cells(lines, "depths compared") == ["2", "2", "-"]
    assert "R² -, χ² per degree of freedom -, compared at 2 depths" in calibration_page(found)


def cells(lines, name):
    line = next(line for line in lines if line.startswith(f"{name}  "))
    return [cell.strip() for cell in re.split(r"\s{2,}", line)[1:]]


# -- Tables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mid, mean over time", ["0.0000235122", "quote currency"]),
        ("tick", ["4.253", "bps"]),
        ("median spread", ["8.506", "bps"]),
        ("market orders", ["3,900"]),
        ("trades", ["4,056"]),
        ("volatility for models, at 60 s", ["0.88 +- 0.15", "bps per square root of a second"]),
        ("one-minute volatility", ["0.06668", "%"]),
        ("volatility in event time", ["0.3391", "bps per move of the mid"]),
        ("moves of the mid", ["6,432"]),
        ("volatility", ["0.900 +- 0.037", "0.88 +- 0.15"]),
        ("returns", ["1,799", "29"]),
        ("A, a second", ["0.500 +- 0.025", "0.400 +- 0.025", "too few"]),
        ("kappa, 1/bps", ["2.00 +- 0.10", "2.50 +- 0.10", "-"]),
        ("1/kappa, bps", ["0.500 +- 0.025", "0.400 +- 0.016", "-"]),
        ("1/kappa, ticks", ["0.1176", "0.09405", "-"]),
        ("R squared of the log intensity", ["0.987", "0.987", "-"]),
        ("chi-squared per degree of freedom", ["1.25", "1.25", "-"]),
        ("fitted depths, bps", ["0.25 to 1.5", "0.25 to 1.5", "-"]),
        ("mean", ["-0.26 +- 0.10"]),
        ("1 to 2", ["-0.500", "-0.250", "+0.250", "+0.500", "1,100"]),
        ("3", ["-0.400", "-0.100", "+0.100", "+0.400", "4"]),
        ("4 and more", ["-0.300", "+0.000", "+0.000", "+0.300", "20"]),
        ("maker fee", ["25", "bps"]),
        ("earned by a fill at the touch", ["-20.75", "bps"]),
        ("best distance from the mid", ["25.5", "bps"]),
        ("fills there, a side", ["below 0.001", "an hour"]),
        ("earned there, a side", ["below 0.001", "bps of a quote's value an hour"]),
    ],
)
def test_figures_stand_with_their_errors_and_units(name, expected):
    assert cells(printed(calibration()), name) == expected


def test_second_counts_of_orders_are_those_of_each_fit():
    lines = [line for line in printed(calibration()) if line.startswith("market orders")]
    assert re.split(r"\s{2,}", lines[1])[1:] == ["1,234", "1,234", "-"]


def test_verdict_is_told_in_full():
    assert "Verdict: a fill at the touch earns 4.25 bps <before> a fee of 25 bps: it cannot pay" in printed(
        calibration()
    )


@pytest.mark.parametrize(("simulated", "words"), [(True, "SIMULATED data"), (False, "recorded data")])
def test_heading_says_where_the_data_come_from(simulated, words):
    lines = printed(calibration(simulated=simulated))
    assert lines[0] == f"Calibration from {words} of KRAKEN in my & catalog, 2025-12-13T12:00:00+00:00"
    span = "2025-12-13T12:00:00+00:00 to 2025-12-13T12:30:00+00:00 (1,800 s)"
    assert f"XRP/BTC: {'SIMULATED data, ' if simulated else ''}{span}" in lines


def test_what_is_not_known_is_said():
    bare = symbol(fees=None, microprice=None, mark_outs=[], intensity_bid=None)
    text = "\n".join(printed(calibration(**{"XRP/BTC": bare})))
    assert "Fees: no maker fee is known; --maker-fee-pct sets one" in text
    assert "Micro-price" not in text
    assert "Mark-outs" not in text
    assert "Verdict" not in text


def test_a_long_micro_price_table_is_cut_and_says_so():
    count = 15
    table = MicropriceFigures(
        imbalance_buckets=2,
        spread_ticks=list(range(1, count + 1)),
        adjustment_ticks=[[-0.1, 0.1]] * count,
        observations=[[1, 1]] * count,
    )
    lines = printed(calibration(**{"XRP/BTC": symbol(microprice=table)}))
    assert "wider spreads that only the file has: 3" in lines
    assert cells(lines, "12") == ["-0.100", "+0.100", "2"]
    assert not any(line.startswith("15 and more") for line in lines)


def test_every_symbol_has_its_tables():
    lines = printed(calibration(**{"XRP/BTC": symbol(), "BTC/USDT": symbol()}))
    assert sum(line == "Market" for line in lines) == 2
    assert any(line.startswith("BTC/USDT: SIMULATED") for line in lines)


# -- Plots --------------------------------------------------------------------------------------------------


def named(figure, name):
    (trace,) = [trace for trace in figure["data"] if trace["name"] == name]
    return trace


def test_points_are_those_measured_with_poisson_errors():
    points = named(calibration_figures(symbol())["bids"], "measured")
    assert points["x"] == [0.5, 1.0, 1.5]
    assert points["y"] == [0.4, 0.1, 0.025]
    assert points["error_y"]["array"] == pytest.approx([0.4 / 20, 0.1 / 10, 0.025 / 5])


def test_fit_is_full_over_its_range_and_dotted_beyond():
    figure = calibration_figures(symbol())["bids"]
    full, beyond = named(figure, "fit"), named(figure, "fit, beyond its range")
    assert (full["line"]["dash"], beyond["line"]["dash"]) == ("solid", "dot")
    assert (full["x"][0], full["x"][-1]) == (0.25, 1.5)
    gap = beyond["x"].index(None)
    assert (beyond["x"][0], beyond["x"][gap - 1]) == (0.0, 0.25)
    assert beyond["x"][gap + 1 :] == []
    for curve in (full, beyond):
        for depth, intensity in zip(curve["x"], curve["y"], strict=True):
            if depth is not None:
                assert intensity == pytest.approx(0.4 * math.exp(-2.5 * depth))


def test_sides_have_their_colours_and_one_range():
    figures = calibration_figures(symbol(intensity_ask=fit()))
    colours = {key: {trace["line"]["color"] for trace in figures[key]["data"]} for key in ("bids", "asks")}
    assert colours == {"bids": {"@bid"}, "asks": {"@ask"}}
    ranges = [figures[key]["layout"]["yaxis"]["range"] for key in ("bids", "asks")]
    assert ranges[0] == ranges[1]
    low, high = (10**value for value in ranges[0])
    drawn = [value for trace in figures["bids"]["data"] for value in trace["y"] if value is not None]
    assert low < min(drawn) < max(drawn) < high


def test_a_side_without_a_fit_says_so():
    assert "asks" not in calibration_figures(symbol())
    page = without_scripts(calibration_page(calibration()))
    assert "Buy orders that reach asks: too few orders for a fit." in page


def test_intensity_axes_are_logarithmic_and_named():
    figures = calibration_figures(symbol(intensity_ask=fit()))
    for key, title in (("bids", "sell orders that reach bids"), ("asks", "buy orders that reach asks")):
        layout = figures[key]["layout"]
        assert layout["yaxis"]["type"] == "log"
        assert layout["annotations"][0]["text"] == f"{title}, a second"
        assert layout["xaxis"]["title"]["text"] == "depth from the mid, bps"
    layout = figures["volatility"]["layout"]
    assert layout["annotations"][0]["text"] == "volatility, bps per square root of a second"
    assert layout["xaxis"]["type"] == "log"


def test_signature_marks_the_volatility_that_models_take():
    points = named(calibration_figures(symbol())["volatility"], "volatility")
    assert points["x"] == [1.0, 60.0]
    assert points["y"] == [0.9, 0.8759]
    assert points["marker"]["size"][1] > points["marker"]["size"][0]


def without_scripts(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


class Tags(HTMLParser):
    """Collect the tags of a page with their attributes."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_page_holds_all_it_needs():
    page = calibration_page(calibration(**{"XRP/BTC": symbol(), "BTC/USDT": symbol()}))
    assert page.startswith("<!DOCTYPE html>")
    assert page.count(plotly_basic()) == 1
    tags = Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.found if tag in {"link", "img", "iframe", "object"}] == []
    assert [found["href"] for _, found in tags.found if "href" in found] == ["#symbol-0", "#symbol-1"]
    assert [found for _, found in tags.found if "src" in found] == []
    assert "://" not in without_scripts(page)
    data = dict(re.findall(r'<script type="application/json" id="(data-[^"]+)">(.*?)</script>', page))
    drawn = [found["data-figure-data"] for _, found in tags.found if "data-figure-data" in found]
    assert (
        drawn == list(data) == [f"data-{number}-{key}" for number in (0, 1) for key in ("bids", "volatility")]
    )


def test_page_shows_symbols_verdicts_and_source_as_text():
    page = without_scripts(calibration_page(calibration()))
    assert html.escape("SIMULATED data of KRAKEN in my & catalog") in page
    assert "these figures say nothing about a market" in page
    assert "<h2>XRP/BTC</h2>" in page
    assert "A fill at the touch earns 4.25 bps &lt;before&gt; a fee of 25 bps: it cannot pay." in page


def test_page_of_recorded_data_has_no_warning():
    page = without_scripts(calibration_page(calibration(simulated=False)))
    assert "SIMULATED" not in page
    assert "recorded data of KRAKEN" in page


def test_figures_are_plain_json_without_numbers_that_browsers_cannot_read():
    figures = calibration_figures(symbol(intensity_ask=fit()))
    json.dumps(figures, allow_nan=False)
    assert {key: len(figure["data"]) for key, figure in figures.items()} == {
        "bids": 3,
        "asks": 3,
        "volatility": 1,
    }


def test_nothing_imports_the_python_package_of_the_chart_library():
    code = (
        "import pkgutil, sys\n"
        "from importlib import import_module\n"
        "sys.modules['plotly'] = None\n"
        "import mm_nautilus\n"
        "for found in pkgutil.walk_packages(mm_nautilus.__path__, 'mm_nautilus.'):\n"
        "    found.name.endswith('__main__') or import_module(found.name)\n"
        "print(len(sys.modules))\n"
    )
    assert int(python("-c", code, cwd=ROOT).stdout) > 400


def test_chart_library_is_the_one_of_record():
    recorded = (ROOT / "docs/decisions/0023-plotly-basic-in-the-package.md").read_text(encoding="utf-8")
    assert hashlib.sha256(plotly_basic().encode()).hexdigest() in recorded
