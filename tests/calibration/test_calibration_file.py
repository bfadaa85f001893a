import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_nautilus.calibration.figures import MarkOut, SignaturePoint
from mm_nautilus.calibration.file import configured_calibration, dump_calibration, load_calibration
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.errors import ConfigError

GLFT = {"use_reservation_price": True, "reservation_model": "glft"}
positive = st.floats(1e-9, 1e9, allow_subnormal=False)


def refusals(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_calibration(path)
    assert all(text and "\n" not in text for text in error.value.problems)
    return error.value.problems


@pytest.fixture
def sound(calibration_file, symbol_calibration) -> Path:
    return calibration_file({"XRP/USDT": symbol_calibration(), "BTC/USDT": symbol_calibration(mid=1e5)})


@pytest.fixture
def changed(sound):
    """Return what replaces a line of a sound file and returns the file and the line's number."""

    def change(pattern: str, replacement: str) -> tuple[Path, int]:
        text = sound.read_text(encoding="utf-8")
        found = re.search(pattern, text)
        assert found is not None
        sound.write_text(text[: found.start()] + replacement + text[found.end() :], encoding="utf-8")
        return sound, text.count("\n", 0, found.start()) + 1

    return change


# -- Written and read -------------------------------------------------------------------------------------


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    symbols=st.dictionaries(
        st.from_regex(r"[A-Za-z0-9/_:-]{1,12}", fullmatch=True)
        | st.sampled_from(["null", "1e3", "no", "010"]),
        st.tuples(positive, positive, positive, st.booleans()),
        min_size=1,
        max_size=3,
    )
)
def test_what_is_written_is_read_back_as_it_was(tmp_path, symbol_calibration, calibration_of, symbols):
    calibration = calibration_of(
        {
            name: symbol_calibration(
                a=a,
                kappa=kappa,
                volatility=volatility,
                mark_outs=[MarkOut(seconds=1.0, mark_out_bps=-a, standard_error_bps=kappa, trades=3)],
                **({"microprice": None} if bare else {}),
            )
            for name, (a, kappa, volatility, bare) in symbols.items()
        }
    )
    path = tmp_path / "calibration.yaml"
    path.write_text(dump_calibration(calibration), encoding="utf-8")
    assert load_calibration(path) == calibration


def test_a_file_begins_with_what_it_is_and_is_plain_yaml(sound):
    text = sound.read_text(encoding="utf-8")
    assert text.startswith("# What `mm-nautilus calibrate` measured of each symbol")
    assert all(line.startswith("#") for line in text.partition("version:")[0].splitlines())
    assert yaml.safe_load(text)["symbols"]["XRP/USDT"]["intensity"]["kappa_per_bps"] == 1.0
    assert max(map(len, text.splitlines())) <= 140


def test_a_calibration_of_many_symbols_is_read(calibration_file, symbol_calibration):
    points = [
        SignaturePoint(interval_seconds=1.0 + i, volatility_bps=0.5, standard_error_bps=0.1, returns=9)
        for i in range(100)
    ]
    detailed = symbol_calibration()
    detailed = detailed.model_copy(
        update={"volatility": detailed.volatility.model_copy(update={"signature": points})}
    )
    path = calibration_file({f"A{number}/USDT": detailed for number in range(20)})
    assert len(load_calibration(path).symbols) == 20


# -- Refused files ----------------------------------------------------------------------------------------


def test_a_missing_file_names_the_nearest(sound):
    wanted = sound.with_name("calibrations.yaml")
    assert refusals(wanted) == [
        f"{wanted}: the calibration must be an existing file, was not found (did you mean {sound}?)"
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a calibration must be a mapping of keys, was an empty file"),
        (b"[1, 2]", ":1: a calibration must be a mapping of keys, was [1, 2]"),
        (b"a: \xff", ":1: a calibration must be UTF-8 text, was byte 0xff"),
        (b"a: [", ":1:5: not valid YAML"),
        (b"version: 1\n", ":1: created: Missing required config: created"),
    ],
)
def test_files_that_are_no_calibration(tmp_path, content, words):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    assert words in refusals(path)[0]


def test_a_folder_is_refused(tmp_path):
    assert refusals(tmp_path) == [f"{tmp_path}: a calibration must be a YAML file, was a folder"]


@pytest.mark.parametrize(
    ("pattern", "replacement", "words"),
    [
        (r"version: 1", "version: 2", "version: version must be 1, was 2"),
        (
            r"      kappa_per_bps: 1.0",
            "      kappa_per_bps: -1.0",
            "symbols.XRP/USDT.intensity.kappa_per_bps: kappa_per_bps must be above 0, was -1.0",
        ),
        (r"kappa_per_bps: 1.0", "kappa_per_bps: .nan", "symbols.XRP/USDT.intensity.kappa_per_bps: "),
        (r"kappa_per_bps: 1.0", "kappa: 1.0", "symbols.XRP/USDT.intensity.kappa_per_bps: Missing required"),
        (r"venue: KRAKEN", "venue: 'K N'", "source.venue: venue must be a venue's name"),
        (r"spread_ticks: \[1, 50\]", "spread_ticks: [50, 1]", "spread_ticks must ascend, was [50, 1]"),
        (
            r"\[-0.4, -0.1, 0.1, 0.4\]",
            "[-0.4, 0.4]",
            "adjustment_ticks must have 2 rows of 4 values",
        ),
    ],
)
def test_a_bad_value_is_named_with_its_line_and_path(changed, pattern, replacement, words):
    path, line = changed(pattern, replacement)
    texts = refusals(path)
    assert any(words in text for text in texts), texts
    assert any(text.startswith(f"{path}:") for text in texts)
    assert abs(int(texts[0].removeprefix(f"{path}:").partition(":")[0]) - line) <= 3


def test_every_problem_is_listed_at_once(changed):
    changed(r"version: 1", "version: 7")
    changed(r"a_per_second: 0.5", "a_per_second: no")
    path, _ = changed(r"mid_price: 2.35", "mid_price: 0")
    texts = refusals(path)
    assert len(texts) == 3
    for name in ("version", "a_per_second", "mid_price"):
        assert any(name in text for text in texts)


# -- What a configuration takes from it -------------------------------------------------------------------


def config(path: Path | None, symbols=("XRP/USDT", "BTC/USDT"), **changes) -> MarketMakerConfig:
    given = {"symbols": {symbol: {} for symbol in symbols}, **changes}
    return MarketMakerConfig.model_validate(given if path is None else {**given, "calibration": str(path)})


def test_no_calibration_is_no_problem():
    assert configured_calibration(config(None)) == (None, [])


def test_a_sound_calibration_is_returned(sound):
    calibration, findings = configured_calibration(config(sound, **GLFT))
    assert calibration == load_calibration(sound)
    assert findings == []


def test_what_cannot_be_read_is_reported_at_the_key(sound):
    calibration, findings = configured_calibration(config(sound.with_name("absent.yaml")))
    assert calibration is None
    assert [finding.path for finding in findings] == [("calibration",)]
    assert "must be an existing file" in findings[0].message


@pytest.mark.parametrize(
    ("changes", "symbols", "found"),
    [
        (GLFT, ("XRP/USDT", "ETH/USDT"), 1),
        ({"fair_price": "microprice"}, ("ETH/USDT",), 1),
        ({}, ("ETH/USDT",), 0),
        ({"reservation_model": "glft"}, ("ETH/USDT",), 0),
        ({"use_reservation_price": True, "fair_price": "weighted_mid"}, ("ETH/USDT",), 0),
    ],
)
def test_only_symbols_that_take_figures_have_to_be_in_it(sound, changes, symbols, found):
    _, findings = configured_calibration(config(sound, symbols, **changes))
    assert len(findings) == found
    for finding in findings:
        assert finding.path == ("calibration",)
        assert finding.message == (
            f"{sound}: a symbol that takes figures from a calibration must be in it (BTC/USDT, XRP/USDT; did you mean "
            "BTC/USDT?), was ETH/USDT"
        )


def test_a_symbol_without_a_table_has_no_microprice(calibration_file, symbol_calibration):
    path = calibration_file({"XRP/USDT": symbol_calibration(microprice=None)})
    _, findings = configured_calibration(config(path, ("XRP/USDT",), fair_price="microprice"))
    assert "XRP/USDT must have a micro-price table for fair_price: microprice" in findings[0].message
    assert configured_calibration(config(path, ("XRP/USDT",), **GLFT))[1] == []


def test_regimes_need_the_distribution_of_the_volatility(calibration_file, symbol_calibration):
    path = calibration_file({"XRP/USDT": symbol_calibration()})
    regimes = [{"above_quantile": 0.9, "pause": True}]
    _, findings = configured_calibration(config(path, ("XRP/USDT",), volatility_regimes=regimes))
    assert (
        "XRP/USDT must have the distribution of its volatility for volatility_regimes" in findings[0].message
    )


def test_a_kappa_in_other_units_is_refused_with_the_symbol(calibration_file, symbol_calibration):
    per_price = 1.0 / (2.35 / 10_000)
    path = calibration_file({"XRP/USDT": symbol_calibration(kappa=per_price)})
    _, findings = configured_calibration(config(path, ("XRP/USDT",), **GLFT))
    assert len(findings) == 1
    assert (
        "XRP/USDT: kappa_per_bps must be between 0.001 and 100 per basis point of mid" in findings[0].message
    )
    assert "was 4255.32" in findings[0].message
    assert math.isclose(per_price, 4255.3191, rel_tol=1e-6)
