"""The state file: what comes back, who may have it, what is refused, and that it is always whole."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_runs import ROOT

from mm_nautilus.config.run import RunConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.runs.state_file import Fingerprint, RunState, StateFile, StateWriteError, fingerprint_of
from mm_nautilus.trading.saved_account import SavedAccount, SavedPosition

LONG = SavedPosition("XRP/USDT", "XRP", "USDT", Decimal("10.5"), 2.3533331578947365, Decimal("-0.02348820"))
ACCOUNT = SavedAccount({"USDT": Decimal("976.48831180"), "XRP": Decimal("510.500000")}, (LONG,))
STATE = RunState(ACCOUNT, {"strategy": {"market_maker": b'{"counts": {"fills": 3}}'}})
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def configured(**changes: Any) -> RunConfig:
    """Return a configuration; keys of the venue and the strategy are given flat."""
    venue = {"name": "KRAKEN", "starting_balances": ["1000 USDT", "500 XRP"]}
    strategy: dict[str, Any] = {"symbols": {"XRP/USDT": {}, "XRP/BTC": {"position_size": "10 XRP"}}}
    for key, value in changes.items():
        (venue if key in ("account_type", "starting_balances", "fees", "name") else strategy)[key] = value
    return RunConfig.model_validate({"catalog": "catalog", "venue": venue, "strategy": strategy})


FINGERPRINT = fingerprint_of(configured())


def opened(folder: Path, fingerprint: Fingerprint = FINGERPRINT, **options: Any) -> StateFile:
    return StateFile.open(folder, "paper", fingerprint, **options)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return the path of a file that a run has left."""
    with opened(tmp_path) as file:
        assert file.write(STATE)
    return file.path


# -- What comes back ----------------------------------------------------------------------------------------


def test_at_the_first_start_there_is_nothing_but_the_defaults(tmp_path):
    with opened(tmp_path / "made" / "here") as file:
        assert (file.state, file.account, file.kept) == (None, None, None)
        assert file.component("strategy") == {}
        assert not file.path.exists()


def test_what_was_written_comes_back(written):
    with opened(written.parent) as file:
        assert file.account == ACCOUNT
        assert {key: json.loads(text) for key, text in file.component("strategy").items()} == {
            "market_maker": {"counts": {"fills": 3}}
        }
        assert file.component("nobody") == {}


NUMBERS = st.decimals(-(10**12), 10**12, places=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    quantity=NUMBERS.filter(bool),
    price=st.floats(1e-9, 1e9),
    amount=st.decimals(0, 10**12, places=8),
    document=JSON,
)
def test_any_state_comes_back_to_the_last_digit(tmp_path, quantity, price, amount, document):
    account = SavedAccount(
        {"USDT": amount}, (replace(LONG, quantity=quantity, average_price=price, realized=-quantity),)
    )
    with opened(tmp_path, fresh=True) as file:
        file.write(RunState(account, {"c": {"k": json.dumps(document).encode()}}))
    with opened(tmp_path) as file:
        assert file.account == account
        assert file.account.positions[0].average_price.hex() == price.hex()
        assert json.loads(file.component("c")["k"]) == document


def test_a_state_that_is_there_already_is_not_written_again(written):
    with opened(written.parent) as file:
        before = written.stat().st_ino
        assert not file.write(STATE)
        assert written.stat().st_ino == before
        assert file.write(replace(STATE, components={}))
        assert written.stat().st_ino != before
        assert not file.write(replace(STATE, components={}))
        assert file.write(STATE)


def test_a_closed_file_is_not_written(tmp_path):
    file = opened(tmp_path)
    file.close()
    file.close()
    with pytest.raises(StateWriteError, match="it was closed"):
        file.write(STATE)


def test_a_write_that_fails_leaves_the_last_state(written):
    before = written.read_bytes()
    (written.parent / f"{written.name}.tmp").mkdir()
    with (
        opened(written.parent) as file,
        pytest.raises(StateWriteError, match=r"paper\.json cannot be written"),
    ):
        file.write(replace(STATE, components={}))
    assert written.read_bytes() == before


def test_what_a_crash_left_half_written_does_not_matter(written):
    os.mkfifo(written.parent / f"{written.name}.tmp")  # or somebody put a pipe there, which is not waited for
    with opened(written.parent) as file:
        assert file.account == ACCOUNT
        assert file.write(replace(STATE, components={}))


def test_nobody_else_reads_the_state(written):
    assert {path.name: path.stat().st_mode & 0o777 for path in written.parent.iterdir()} == {
        "paper.json": 0o600,
        "paper.json.lock": 0o600,
    }


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.write_text("[" * 100_000)])
def test_what_cannot_be_read_as_a_state_is_refused_at_once(tmp_path, make):
    make(tmp_path / "paper.json")
    with pytest.raises(ConfigError, match=r"no regular file|must be a JSON document, but maximum recursion"):
        opened(tmp_path)


# -- One process at a time ----------------------------------------------------------------------------------


def test_the_second_is_refused_with_the_number_of_the_first(written):
    with opened(written.parent), pytest.raises(ConfigError) as caught:
        opened(written.parent)
    assert caught.value.exit_code == 2
    assert f"{written} is in use by process {os.getpid()};" in str(caught.value)
    opened(written.parent).close()


def test_starting_anew_does_not_take_the_file_from_a_run(written):
    with opened(written.parent), pytest.raises(ConfigError, match="in use by process"):
        opened(written.parent, fresh=True)
    assert [path.name for path in written.parent.glob("*.json")] == ["paper.json"]


def test_runs_of_other_names_and_folders_do_not_meet(tmp_path):
    with opened(tmp_path), StateFile.open(tmp_path, "other", FINGERPRINT), opened(tmp_path / "b"):
        pass


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that has the tests' folder on its path."""
    given = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{code}"
    command = [sys.executable, "-c", given, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


HOLD = """
from pathlib import Path
from test_state_file import opened
import time
file = opened(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_the_file_free(written):
    holder = child(HOLD, str(written.parent))
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError, match=f"in use by process {holder.pid};"):
            opened(written.parent)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with opened(written.parent) as file:
        assert file.account == ACCOUNT


def test_a_removed_lock_file_is_noticed(written):
    lock = written.with_name("paper.json.lock")
    with opened(written.parent) as file:
        lock.unlink()
        assert not file.write(STATE)
        with pytest.raises(ConfigError, match="in use by process"):
            opened(written.parent)
        lock.unlink()
        with (
            opened(written.parent),
            pytest.raises(StateWriteError, match=r"lock was removed, and .* in use by process"),
        ):
            file.write(replace(STATE, components={}))
        assert file.write(replace(STATE, components={}))


def test_a_folder_that_cannot_be_made_is_an_error_of_the_configuration(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"paper\.json cannot be locked: .*file"):
        opened(tmp_path / "file")


def test_a_file_is_looked_at_while_another_process_has_it_and_cannot_be_written_to(written):
    with opened(written.parent) as holder:
        looked = StateFile.look(written.parent, "paper", FINGERPRINT)
        assert looked.account == holder.account == ACCOUNT
        with pytest.raises(StateWriteError, match="closed"):
            looked.write(RunState(SavedAccount({"USDT": Decimal(1)}), {}))


def test_looking_for_a_file_that_is_not_there_makes_nothing(tmp_path):
    assert StateFile.look(tmp_path / "state", "paper", FINGERPRINT).account is None
    assert list(tmp_path.iterdir()) == []


def test_looking_at_a_damaged_file_is_refused_as_opening_it(written):
    written.write_bytes(written.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="is damaged"):
        StateFile.look(written.parent, "paper", FINGERPRINT)


# -- Always whole -------------------------------------------------------------------------------------------

WRITE = """
import json
from decimal import Decimal
from itertools import count
from pathlib import Path
from mm_nautilus.trading.saved_account import SavedAccount
from mm_nautilus.runs.state_file import RunState
from test_state_file import opened
file = opened(Path(sys.argv[1]))
start = 0 if file.account is None else int(file.account.balances["USDT"])
for n in count(start + 1):
    text = json.dumps({"n": n, "filling": "x" * (n % 7) * 20_000}).encode()
    file.write(RunState(SavedAccount({"USDT": Decimal(n)}), {"c": {"k": text}}))
    if n == start + 3:
        print("going", flush=True)
"""


@pytest.mark.long
def test_whenever_a_process_is_killed_the_file_is_one_whole_state(tmp_path):
    """Balances and documents are of one write, and the next process goes on where the last one was killed."""
    last = 0
    for delay in (0.0, 0.013, 0.029):
        writer = child(WRITE, str(tmp_path))
        assert writer.stdout is not None
        with writer:
            writer.stdout.readline()
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        with opened(tmp_path) as file:
            assert file.account is not None
            number = int(file.account.balances["USDT"])
            assert json.loads(file.component("c")["k"])["n"] == number
        assert number >= last + 3
        last = number


# -- Refusals -----------------------------------------------------------------------------------------------


@pytest.fixture
def refused(written: Path) -> Iterator[Any]:
    """Return a function that opens the file, which must be refused without being touched."""

    def refuse(fingerprint: Fingerprint = FINGERPRINT) -> str:
        before = sorted((path.name, path.read_bytes()) for path in written.parent.glob("*.json"))
        with pytest.raises(ConfigError) as caught:
            opened(written.parent, fingerprint)
        assert caught.value.exit_code == 2
        assert sorted((path.name, path.read_bytes()) for path in written.parent.glob("*.json")) == before
        text = str(caught.value)
        assert text.startswith(f"the state file {written} ")
        assert text.endswith("--fresh starts without this file and keeps it under a dated name")
        opened(written.parent, fingerprint, fresh=True).close()
        return text

    yield refuse
    assert len(list(written.parent.glob("paper.*.json"))) == 1


def resigned(path: Path, change: Any) -> None:
    """Change a file's document and make its checksum fit."""
    document = json.loads(path.read_text())
    change(document)
    body = {key: value for key, value in document.items() if key not in ("saved_at", "sha256")}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document))


def test_a_file_that_is_resigned_without_a_change_is_read(written):
    """What the tests below rest on: it is the change that is refused."""
    resigned(written, lambda document: None)
    opened(written.parent).close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"text"', b"\xff\xfe\x00", b"null", b"NaN"],
    ids=["empty", "half", "list", "text", "binary", "null", "nan"],
)
def test_a_file_that_is_no_document_is_refused(written, refused, content):
    written.write_bytes(content)
    assert "is damaged" in (text := refused()) or "cannot be read" in text


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(written, refused, share):
    content = written.read_bytes()
    written.write_bytes(content[: int(len(content) * share)])
    assert "is damaged" in refused()


def test_a_file_that_was_edited_is_refused(written, refused):
    written.write_text(written.read_text().replace("976.48831180", "996.48831180"))
    assert "is damaged or was edited" in refused()


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_file_of_another_version_is_refused(written, refused, version):
    resigned(written, lambda document: document.update(version=version))
    assert f"must be of version 1, was {version!r}" in refused()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("account"),
        lambda document: document.pop("components"),
        lambda document: document.pop("configuration"),
        lambda document: document["configuration"].pop("venue"),
        lambda document: document["account"]["balances"].update(USDT="much"),
        lambda document: document["account"]["balances"].update(USDT="NaN"),
        lambda document: document["account"].update(balances=[1]),
        lambda document: document["account"]["positions"][0].update(quantity="0"),
        lambda document: document["account"]["positions"][0].pop("average_price"),
        lambda document: document.update(components={"strategy": 3}),
    ],
)
def test_a_document_that_lacks_something_is_refused(written, refused, change):
    resigned(written, change)
    assert "is damaged" in refused()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "BINANCE"}, "venue was KRAKEN there, is BINANCE here"),
        ({"account_type": "margin"}, "account_type was cash there, is margin here"),
        (
            {"starting_balances": ["2000 USDT", "500 XRP"]},
            "starting_balances was 1000 USDT, 500 XRP there, is 2000 USDT, 500 XRP here",
        ),
        ({"report_currency": "XRP"}, "report_currency was USDT there, is XRP here"),
        ({"order_id_tag": "002"}, "strategy was 001 there, is 002 here"),
        ({"strategy_id": "Maker-7"}, "strategy was 001 there, is Maker-7 here"),
        ({"symbols": {"XRP/USDT": {}}}, "symbols must include XRP/BTC, were XRP/USDT"),
    ],
)
def test_a_file_of_another_configuration_is_refused(refused, changes, text):
    refusal = refused(fingerprint_of(configured(**changes)))
    assert f"belongs to another configuration: {text};" in refusal
    assert "give the run another name" in refusal


def test_every_difference_is_named(refused):
    text = refused(fingerprint_of(configured(account_type="margin", symbols={"BTC/USDT": {}})))
    assert "account_type was" in text
    assert "symbols must include XRP/BTC, XRP/USDT, were BTC/USDT" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"gamma": 0.7, "stop_loss_pct": 0.9, "max_inventory": 900.0},
        {"fees": {"maker_fee_pct": 0.2, "taker_fee_pct": 0.4}},
        {"starting_balances": ["500.00 XRP", "1000.0 USDT"]},
    ],
)
def test_parameters_may_change_between_runs(written, changes):
    with opened(written.parent, fingerprint_of(configured(**changes))) as file:
        assert file.account == ACCOUNT


def test_a_symbol_may_be_added_and_then_not_dropped(written, refused):
    more = configured(symbols={"XRP/USDT": {}, "XRP/BTC": {"position_size": "10 XRP"}, "BTC/USDT": {}})
    with opened(written.parent, fingerprint_of(more)) as file:
        assert file.write(STATE), "the file has to say so, although nothing else has changed"
    assert "symbols must include BTC/USDT" in refused()


# -- Starting anew ------------------------------------------------------------------------------------------


def test_starting_anew_keeps_the_file_under_a_dated_name(written):
    content = written.read_bytes()
    with opened(written.parent, fresh=True, now=NOW) as file:
        assert file.kept == written.parent / "paper.20260301T123000Z.json"
        assert file.kept.read_bytes() == content
        assert file.state is None
        assert not written.exists()
        file.write(STATE)
    with opened(written.parent, fresh=True, now=NOW) as file:
        assert file.kept == written.parent / "paper.20260301T123000Z-2.json"


def test_starting_anew_without_a_file_is_a_first_start(tmp_path):
    with opened(tmp_path, fresh=True) as file:
        assert (file.kept, file.state) == (None, None)
