"""Formats of messages and events as a user names them, or leaves them to be guessed, on the command line."""

import gzip
from pathlib import Path

import made_dbn
import pytest
import test_binance_captures
import test_bybit_messages
import test_coinbase_messages
import test_hftbacktest_files
import test_kraken_captures
from modelled_market import write

from mm_nautilus.data.formats import FORMATS, guessed_format

FRAMES = test_kraken_captures.frames(count=4)
KRAKEN = [raw for _, raw, _ in FRAMES]


def _zipped(path: Path) -> Path:
    path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def _lines(lines):
    return lambda folder: write(folder, lines)


def _dbn(folder, **options):
    return made_dbn.write(folder, "mbo", made_dbn.orders(*made_dbn.SMALL), **options)


FILES = {
    "events": (
        "hftbacktest",
        lambda folder: test_hftbacktest_files.write(folder, test_hftbacktest_files.small()),
    ),
    "Binance": ("hftbacktest", _lines(test_binance_captures.SMALL)),
    "Binance, gzip": ("hftbacktest", lambda folder: _zipped(write(folder, test_binance_captures.SMALL))),
    "Kraken": ("kraken", _lines(KRAKEN)),
    "Kraken with an answer first": ("kraken", _lines([test_kraken_captures.ACK, *KRAKEN])),
    "Kraken, wrapped": ("kraken", _lines([test_kraken_captures.wrapped(us, raw) for us, raw, _ in FRAMES])),
    "Bybit": ("bybit", lambda folder: test_bybit_messages.archived(folder, test_bybit_messages.SMALL)),
    "Bybit, unpacked": ("bybit", _lines(test_bybit_messages.SMALL)),
    "Advanced Trade": ("coinbase", _lines(test_coinbase_messages.SMALL)),
    "Exchange": ("coinbase", _lines(test_coinbase_messages.EXCHANGE)),
    "DBN": ("databento", _dbn),
    "DBN, plain": ("databento", lambda folder: _dbn(folder, plain=True)),
}


@pytest.mark.parametrize(("name", "make"), FILES.values(), ids=FILES)
def test_a_format_is_told_by_a_files_beginning_and_by_one_format_only(tmp_path, name, make):
    path = make(tmp_path)
    assert guessed_format(path) == name
    start = gzip.decompress(path.read_bytes()) if path.read_bytes()[:2] == b"\x1f\x8b" else path.read_bytes()
    assert [form for form in FORMATS if FORMATS[form].recognises(path, start)] == [name]


SPOT = (
    "--symbol",
    "BTC/USDT",
    "--venue",
    "TEST",
    "--base",
    "BTC",
    "--quote",
    "USDT",
    "--price-increment",
    "0.01",
)


def test_a_guessed_format_is_said(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = test_bybit_messages.archived(Path(), test_bybit_messages.SMALL)
    done = command("data", "import", path, *SPOT, "--size-increment", "0.00001", "--catalog", "c")
    assert (done.returncode, done.stderr) == (0, "")
    assert "format: bybit" in done.stdout
    words = "problem (no_trades): there are no trades of BTC/USDT.TEST\nc: 1 problem\n"
    assert command("data", "check", "c").stdout.endswith(words)


@pytest.mark.parametrize("name", ["hftbacktest", "kraken", "bybit", "coinbase", "databento"])
def test_a_file_of_another_format_is_a_mistake_in_one_sentence(tmp_path, command, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("price,size\n1,2\n")
    before = sorted(Path().iterdir())
    done = command("data", "import", name, "notes.txt", *SPOT, "--size-increment", "1", "--catalog", "c")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: notes.txt is no ")
    assert done.stderr.count("\n") == 1
    assert sorted(Path().iterdir()) == before
