"""Catalogs in an object store have the findings, texts and fills that they have in a folder; what fails is one line."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from object_store import BUCKET, SECRET, object_store, reach, send

from mm_nautilus.checks.config_source import load_config, read_source, resolved_yaml
from mm_nautilus.data import catalog_writer
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.data.catalog_writer import CatalogWriter, TakenBack, staged_catalog, take_back_imports
from mm_nautilus.data.export import export_catalog
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import ImportReport, import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.data.store import StorePath
from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.search.results import data_hash
from mm_nautilus.search.runners import pool_runner
from mm_nautilus.search.trial import TrialTask, fills_digest, run_trial
from mm_nautilus.search.windows import Window
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.store_url import StoreUrl, catalog_path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "v1_4.yaml"
START_NS = 1_765_627_200 * SECOND_NS
"""2025-12-13T12:00:00Z, when the sample begins."""
URL = StoreUrl(f"s3://{BUCKET}/market/sample")

type Command = Callable[..., Any]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with object_store() as found:
        yield found


@pytest.fixture(autouse=True)
def reachable(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(monkeypatch, address)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two minutes of one pair as Tardis' CSV files, its definition, and the catalog of them."""
    folder = tmp_path_factory.mktemp("recording")
    export_catalog(ROOT / "catalog", folder, names=["XRP/USDT"], end_ns=START_NS + 120 * SECOND_NS)
    bring(folder, folder / "catalog")
    return folder


@pytest.fixture(scope="module")
def imported(address: str, recording: Path) -> ImportReport:
    with pytest.MonkeyPatch.context() as patch:
        reach(patch, address)
        return bring(recording, URL)


def bring(recording: Path, target: Path | StoreUrl) -> ImportReport:
    source = load_instrument(recording / "XRPUSDT.yaml", {})
    return import_files(FORMATS["tardis"].make(), sorted(recording.glob("*.csv.gz")), source.spec, target)


def copy_part(source: Path, target: Path | StoreUrl, start_ns: int) -> None:
    """Add two thirds of a minute of a catalog to another, as an import does."""
    reader = CatalogReader(source)
    with staged_catalog(target) as writer:
        stage_part(reader, writer, start_ns)


def stage_part(reader: CatalogReader, writer: CatalogWriter, start_ns: int) -> None:
    (spec,) = reader.instruments()
    span = {"start": start_ns, "end": start_ns + 40 * SECOND_NS - 1, "batch_rows": 1_000_000}
    writer.write_instrument(spec)
    for blocks in (
        reader.iter_deltas(spec.instrument_id, **span),
        reader.iter_trades(spec.instrument_id, **span),
    ):
        for block in blocks:
            writer.write_block(spec, block)


def values(catalog: Path | StoreUrl, output: Path) -> dict[str, Any]:
    settings = [
        "venue.starting_balances=[1000 USDT, 500 XRP]",
        "strategy.symbols={XRP/USDT: {min_spread_pct: 0.02}}",
    ]
    settings += [f"catalog={catalog}", f"output={{directory: '{output}', report: false, log_level: DEBUG}}"]
    return read_source(CONFIG, settings).values


def objects(address: str, below: str) -> list[str]:
    """Return the keys of a bucket that begin so, without the empty ones that stand for folders."""
    keys = [
        part.partition("</Key>")[0] for part in send(f"{address}/{BUCKET}", "GET").decode().split("<Key>")[1:]
    ]
    return [key.removeprefix(below) for key in keys if key.startswith(below) and not key.endswith("/")]


def test_an_imported_catalog_is_that_of_a_folder(
    recording: Path, imported: ImportReport, tmp_path: Path, command: Command
):
    folder = recording / "catalog"
    assert imported == bring(recording, tmp_path / "again")
    hashes = {data_hash(place, CatalogReader(place).instruments()) for place in (URL, folder)}
    assert len(hashes) == 1
    for words in (
        ["data", "list"],
        ["data", "check"],
        ["data", "list", "--json"],
        ["data", "check", "--json"],
    ):
        ours, theirs = (command(*words, place) for place in (URL, folder))
        assert ours.stdout.replace(str(URL), str(folder)) == theirs.stdout
        assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr) == (0, "")
    digests = set()
    for place in (URL, folder):
        run = run_backtest(values(place, tmp_path / "runs"))
        fills = pq.read_table(run.folder / "fills.parquet")
        assert fills.num_rows > 5
        digests.add(fills_digest(fills))
        for path in run.folder.rglob("*"):
            assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    assert len(digests) == 1


@pytest.mark.long
def test_a_trial_in_another_process_reads_the_store(recording: Path, imported: ImportReport, tmp_path: Path):
    del imported
    window = Window(START_NS + 30 * SECOND_NS, START_NS + 120 * SECOND_NS)
    tasks = [
        TrialTask(values(place, tmp_path), window, 30 * SECOND_NS) for place in (URL, recording / "catalog")
    ]
    with pool_runner(1) as runner:
        stored, local = (runner.submit(task).result() for task in tasks)
    assert (stored.error, local.error) == (None, None)
    assert stored.fills_digest == local.fills_digest == run_trial(tasks[0]).fills_digest
    assert stored.periods == local.periods


@pytest.mark.long
def test_a_catalog_in_a_store_grows(recording: Path, tmp_path: Path):
    """A run reads the files of its own time, in the right order, out of several."""
    digests = set()
    for place in (URL.with_name("grown"), tmp_path / "grown"):
        for number in (1, 0, 2):
            copy_part(recording / "catalog", place, START_NS + 40 * SECOND_NS * number)
        assert len(CatalogReader(place).files("XRP/USDT.KRAKEN", DataKind.DELTAS)) == 3
        run = run_backtest({**values(place, tmp_path / "runs"), "start": "2025-12-13T12:00:40Z"})
        fills = pq.read_table(run.folder / "fills.parquet")
        assert fills.num_rows
        digests.add(fills_digest(fills))
    assert len(digests) == 1


@pytest.mark.long
def test_whatever_else_reads_a_catalog_reads_a_store(
    recording: Path, imported: ImportReport, tmp_path: Path, command: Command
):
    del imported
    files = {}
    for name, place in (("store", URL), ("folder", recording / "catalog")):
        assert (
            command("data", "export", place, "--out", tmp_path / name, "--format", "parquet").returncode == 0
        )
        files[name] = {path.name: pq.read_table(path) for path in (tmp_path / name).iterdir()}
        done = command("config", "init", "--catalog", place, "--out", tmp_path / f"{name}.yaml")
        assert done.returncode == 0, done.stderr
    assert files["store"] == files["folder"]
    texts = {name: (tmp_path / f"{name}.yaml").read_text().splitlines() for name in files}
    assert f"catalog: {URL}" in texts["store"]
    assert [line for line in texts["store"] if not line.startswith(("catalog: ", "name: "))] == [
        line for line in texts["folder"] if not line.startswith(("catalog: ", "name: "))
    ]


# -- Whole or not at all ------------------------------------------------------------------------------------


def cut_off(
    monkeypatch: pytest.MonkeyPatch, recording: Path, target: StoreUrl, error: type[BaseException]
) -> None:
    """Have an import fail before its second file."""
    sent: list[Path] = []
    upload = StorePath.upload

    def one(self: StorePath, file: Path) -> None:
        if sent:
            raise error("no more")
        sent.append(file)
        upload(self, file)

    with monkeypatch.context() as patch:
        patch.setattr(StorePath, "upload", one)
        with pytest.raises(error, match="no more"):
            bring(recording, target)


@pytest.mark.long
def test_a_failed_import_leaves_nothing(address: str, recording: Path, monkeypatch: pytest.MonkeyPatch):
    for error in (DataError, KeyboardInterrupt):
        cut_off(monkeypatch, recording, URL.with_name("failed"), error)
        assert objects(address, "market/failed/") == []


@pytest.mark.long
def test_a_killed_import_is_named_until_it_is_taken_back(
    address: str, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
):
    """A kill leaves what is there when nothing more is done: some files, whole, and the note that names all."""
    target = URL.with_name("killed")
    with monkeypatch.context() as patch:
        patch.setattr(catalog_writer, "_take_back", lambda _note: [])
        cut_off(patch, recording, target, KeyboardInterrupt)
    left = objects(address, "market/killed/")
    (note,) = (name for name in left if name.startswith(".import-"))
    assert len(left) == 2
    words = f"{target}/{note} says that an import goes on or was cut off"
    assert words in command("data", "check", target).stdout
    with pytest.raises(DataError, match="goes on or was cut off; wait for its end, or remove what it left"):
        bring(recording, target)
    taken = json.loads(command("data", "recover", target, "--json").stdout)
    assert taken["imports"] == 1
    assert len(taken["removed"]) == 1
    assert objects(address, "market/killed/") == []
    bring(recording, target)
    assert command("data", "check", target).returncode == 0

    (StorePath(target) / note).write_text("data/trades/none.parquet")  # an import that goes on
    with pytest.raises(ConfigError, match="says that an import goes on"):
        run_backtest(values(target, tmp_path / "runs"))
    for words in (
        ("data", "list", target),
        ("data", "simulate", target),
        ("data", "export", target, "--out", tmp_path / "flat"),
        ("config", "init", "--catalog", target, "--out", tmp_path / "new.yaml"),
        ("calibrate", target, "--out", tmp_path / "calibration.yaml"),
        ("venue", target),
    ):
        done = command(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert f"{target}/{note} says that an import goes on or was cut off" in done.stderr
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def once_after(patch: pytest.MonkeyPatch, name: str, call: Callable[[], Any], calls: int = 1) -> list[Any]:
    """Have something called after so many calls of a method of `StorePath`; the returned list gets what it returns."""
    method, found, seen = getattr(StorePath, name), [], []

    def following(self: StorePath, argument: Any) -> None:
        method(self, argument)
        seen.append(argument)
        if len(seen) == calls:
            found.append(call())

    patch.setattr(StorePath, name, following)
    return found


@pytest.mark.parametrize("second_ns", [START_NS, START_NS + 40 * SECOND_NS], ids=["same", "later"])
@pytest.mark.parametrize(("method", "calls"), [("write_text", 1), ("upload", 1), ("upload", 3)])
def test_of_two_imports_at_once_one_is_refused(
    second_ns: int, method: str, calls: int, recording: Path, monkeypatch: pytest.MonkeyPatch, address: str
):
    """Both are staged before either begins to copy its files."""
    name = f"two-{second_ns}-{method}-{calls}"
    target, reader = URL.with_name(name), CatalogReader(recording / "catalog")
    with ExitStack() as ends_first, monkeypatch.context() as patch:
        second = ExitStack()
        stage_part(reader, ends_first.enter_context(staged_catalog(target)), START_NS)
        stage_part(reader, second.enter_context(staged_catalog(target)), second_ns)

        def end_second() -> str:
            with pytest.raises(DataError) as refusal:
                second.close()
            return str(refusal.value)

        refused = once_after(patch, method, end_second, calls)
        ends_first.close()
    (text,) = refused
    assert f"{target}/.import-" in text
    assert "says that an import goes on or was cut off; wait for its end" in text
    left = objects(address, f"market/{name}/")
    assert len(left) == 3
    assert all(key.startswith("data/") for key in left)
    copy_part(recording / "catalog", recording / name, START_NS)
    assert data_hash(target, reader.instruments()) == data_hash(recording / name, reader.instruments())


def test_an_import_that_ended_meanwhile_is_not_overwritten(recording: Path, address: str, command: Command):
    target, reader = URL.with_name("meanwhile"), CatalogReader(recording / "catalog")
    ends = ExitStack()
    stage_part(reader, ends.enter_context(staged_catalog(target)), START_NS)
    copy_part(recording / "catalog", target, START_NS)
    with pytest.raises(DataError, match=r"another import has written into .* meanwhile; import again"):
        ends.close()
    left = objects(address, "market/meanwhile/")
    assert len(left) == 3
    assert all(key.startswith("data/") for key in left)
    assert command("data", "check", target).returncode == 0


def test_an_import_that_goes_on_is_not_taken_back(
    recording: Path, monkeypatch: pytest.MonkeyPatch, command: Command
):
    target = URL.with_name("going")
    with monkeypatch.context() as patch:
        found = once_after(patch, "upload", lambda: command("data", "recover", target))
        copy_part(recording / "catalog", target, START_NS)
    (done,) = found
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {target}/.import-")
    assert done.stderr.endswith(" is of an import that goes on in this machine; wait for its end\n")
    assert command("data", "check", target).returncode == 0


def test_what_a_kill_leaves_in_this_machine_is_taken_back(tmp_path: Path, address: str):
    """Its temporary folder stays, and nobody locks it."""
    target = URL.with_name("left")
    file = StorePath(target) / "data/trades/none.parquet"
    file.write_text("")
    (StorePath(target) / ".import-left").write_text(
        f"{socket.gethostname()} {tmp_path}\ndata/trades/none.parquet"
    )
    assert take_back_imports(target).files == (file,)
    assert objects(address, "market/left/") == []


@pytest.mark.parametrize("calls", [1, 3], ids=["first file", "last file"])
def test_an_import_taken_back_elsewhere_fails_and_leaves_nothing(
    calls: int, recording: Path, monkeypatch: pytest.MonkeyPatch, address: str
):
    """Another machine cannot know whether it goes on."""
    target = URL.with_name(f"elsewhere-{calls}")

    def recover_elsewhere() -> TakenBack:
        with monkeypatch.context() as other:
            other.setattr("socket.gethostname", lambda: "elsewhere")
            return take_back_imports(target)

    with monkeypatch.context() as patch:
        found = once_after(patch, "upload", recover_elsewhere, calls)
        with pytest.raises(DataError, match=f"{target} was taken back by .*; import again"):
            copy_part(recording / "catalog", target, START_NS)
    (taken,) = found
    assert len(taken.files) == calls
    assert objects(address, f"market/elsewhere-{calls}/") == []


@pytest.mark.long
def test_a_store_refuses_what_a_folder_refuses(recording: Path, imported: ImportReport):
    del imported
    with pytest.raises(DataError, match=f"{URL}/data/.* already holds data from 2025-12-13T12:00"):
        bring(recording, URL)


# -- What cannot be used ------------------------------------------------------------------------------------


def test_a_url_is_kept_and_its_catalog_looked_up_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for text in ("s3://bucket/a/b", "gs://bucket", "az://bucket/a.b/c_d=1"):
        config = load_config(CONFIG, [f"catalog={text}"]).config
        assert config.catalog == catalog_path(text)
        assert f"catalog: {text}\n" in resolved_yaml(config)
    assert list(tmp_path.iterdir()) == []


WORDS = ("data", "list", URL)
REFUSED = "the path of a folder or a URL such as s3://bucket/path"
CLOSED = "http://127.0.0.1:1"
MISTAKES: dict[str, tuple[tuple[object, ...], dict[str, str | None], str]] = {
    "another scheme": (("data", "list", "ftp://a/b"), {}, REFUSED),
    "a part named data": (("data", "check", "s3://a/data/b"), {}, REFUSED),
    "a secret in it": (("data", "list", f"s3://me:{SECRET}@a/b"), {}, REFUSED),
    "a secret in a setting": (
        ("config", "check", CONFIG, "--set", f"catalog=s3://me:{SECRET}@a/b"),
        {},
        REFUSED,
    ),
    "no credentials": (
        WORDS,
        {"AWS_SECRET_ACCESS_KEY": None},
        "environment: AWS_SECRET_ACCESS_KEY must be set",
    ),
    "of a google store": (("data", "list", "gs://a/b"), {}, "GOOGLE_APPLICATION_CREDENTIALS must be set"),
    "of an azure store": (("data", "list", "az://a/b"), {}, "AZURE_STORAGE_ACCOUNT_NAME and AZURE"),
    "no address": (WORDS, {"AWS_ENDPOINT_URL": "localhost:9000"}, "AWS_ENDPOINT_URL must be a URL such as"),
    "no encryption": (
        WORDS,
        {"AWS_ALLOW_HTTP": None, "AWS_ENDPOINT_URL": "http://store:9000"},
        "AWS_ALLOW_HTTP must be true for http://store:9000, which is not encrypted, was not set",
    ),
    "encryption asked for": (
        WORDS,
        {"AWS_ALLOW_HTTP": "false", "AWS_ENDPOINT_URL": "http://store:9000"},
        "AWS_ALLOW_HTTP must be true for http://store:9000, which is not encrypted, was false",
    ),
    "a recording": (
        ("sandbox", "--set", "recording.enabled=true", "--set", f"recording.catalog={URL}"),
        {},
        "recording.catalog: catalog must be the path of a folder, which may be copied into a store afterwards",
    ),
    "an export": (("data", "export", "catalog", "--out", URL), {}, "--out must be the path of a folder, was"),
    "results": (("backtest", "--out", URL), {}, "--out must be the path of a folder, was"),
    "no bucket": (
        ("data", "check", "s3://nowhere/a"),
        {},
        "s3://nowhere/a does not exist; there is no bucket nowhere",
    ),
    "no catalog": (
        ("data", "list", f"s3://{BUCKET}/none"),
        {},
        "/none does not exist; fill one with `mm-nautilus",
    ),
    "a run": (
        ("backtest", "--set", "catalog=s3://nowhere/a"),
        {},
        "--set catalog: the catalog s3://nowhere/a ",
    ),
    "nothing to take back": (
        ("data", "recover", "s3://nowhere/a"),
        {},
        "does not exist; there is no bucket nowhere",
    ),
    "into no bucket": (
        ("data", "simulate", "s3://nowhere/a"),
        {},
        "s3://nowhere/a cannot be written: there is no",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_used_is_one_sentence(
    name: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
):
    monkeypatch.chdir(tmp_path)
    words, changes, text = MISTAKES[name]
    reach(monkeypatch, address, **changes)
    done = command(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert text in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert SECRET not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_store_that_refuses_or_does_not_answer_is_one_sentence(
    address: str, monkeypatch: pytest.MonkeyPatch, command: Command
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for dead in (
            f"http://127.0.0.1:{port}",
            "http://127.0.0.1:1",
            f"https://{address.removeprefix('http://')}",
        ):
            reach(monkeypatch, dead)
            done = command(*WORDS)
            assert done.returncode == 2
            assert f"{URL} cannot be read: {dead} does not answer (" in done.stderr
            assert done.stderr.count("\n") == 1
    reach(monkeypatch, address)
    send(f"{address}/moto-api/reset-auth", "POST", b"0")
    try:
        done = command(*WORDS)
    finally:
        send(f"{address}/moto-api/reset-auth", "POST", b"inf")
    refused = (
        "the store refuses the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (ACCESS_DENIED)"
    )
    assert (done.returncode, done.stderr) == (2, f"error: {URL} cannot be read: {refused}\n")
