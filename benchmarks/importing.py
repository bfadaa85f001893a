"""Measure how many book rows a second an import takes, beside the engine's own loader and writer.

Usage: python benchmarks/importing.py [--rows N] [--rounds N]

A simulated book is exported as a Tardis file and repeated, later each time, until it has the rows; a Parquet table of
the same rows has columns of other names, and prices as floats. Each import is a process of its own, in turns. Rows a
second are counted from the first byte to the finished catalog: by CPU time, and by wall time, which a quiet machine
makes shorter, as blocks are read, checked and written side by side. The engine checks no symbol, tick or time, and
follows no book.
"""

import argparse
import gzip
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from nautilus_trader.adapters.tardis import load_tardis_deltas
from nautilus_trader.model import InstrumentId
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data.column_map import load_map
from mm_nautilus.data.export import export_catalog
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.data.table import TableReader

INSTRUMENT = "XRPUSDT"
BOOK = f"{INSTRUMENT}_incremental_book_L2.csv.gz"
TABLE = "book.parquet"
MAP = """\
name: own book
kind: book
symbol: pair
time: at
received: got
snapshot: full
side: way
price: px
size: qty
"""


def write_file(folder: Path, rows: int) -> None:
    """Write a book of so many rows, or a few more, and its instrument's definition."""
    write_sample(folder / "simulated", SimulationConfig(duration_seconds=1_800))
    export_catalog(folder / "simulated", folder, names=["XRP/USDT"])
    header, *lines = gzip.decompress((folder / BOOK).read_bytes()).decode().splitlines()
    cells = [line.split(",", 4) for line in lines]
    span = int(cells[-1][3]) - int(cells[0][3]) + 1_000_000
    with gzip.open(folder / BOOK, "wt", compresslevel=6) as file:
        file.write(header + "\n")
        for later in range(0, span * -(-rows // len(cells)), span):
            file.writelines(
                f"{exchange},{symbol},{int(event) + later},{int(local) + later},{rest}\n"
                for exchange, symbol, event, local, rest in cells
            )


def run_import(folder: Path) -> int:
    """Import the file as the command does; returns the deltas written."""
    source = load_instrument(folder / f"{INSTRUMENT}.yaml", {})
    found = import_files(
        FORMATS["tardis"].make(),
        [folder / BOOK],
        source.spec,
        folder / "import",
        source_symbol=source.source_symbol,
    )
    return found.deltas


def write_table(folder: Path) -> None:
    """Write the file's rows as a table of other columns, and its map."""
    texts = dict.fromkeys(("price", "amount"), pa.string())
    table = arrow_csv.read_csv(
        folder / BOOK, convert_options=arrow_csv.ConvertOptions(column_types={**texts, "price": pa.float64()})
    )
    pq.write_table(
        table.rename_columns(["place", "pair", "at", "got", "full", "way", "px", "qty"]), folder / TABLE
    )
    (folder / "map.yaml").write_text(MAP, encoding="utf-8")


def run_table(folder: Path) -> int:
    """Import the table by its map; returns the deltas written."""
    spec = load_instrument(folder / f"{INSTRUMENT}.yaml", {}).spec
    reader = TableReader([load_map(folder / "map.yaml")])
    return import_files(reader, [folder / TABLE], spec, folder / "table").deltas


def run_engine(folder: Path) -> int:
    """Load the file and write its deltas by the engine alone; returns how many."""
    spec = load_instrument(folder / f"{INSTRUMENT}.yaml", {}).spec
    name = InstrumentId.from_str(spec.instrument_id)
    deltas = load_tardis_deltas(str(folder / BOOK), spec.price_precision, spec.size_precision, name)
    (folder / "engine").mkdir()
    ParquetDataCatalog(str(folder / "engine")).write_order_book_deltas(deltas)
    return len(deltas)


def peak_mb() -> float:
    """Return this process's own peak of memory, MB; that of `getrusage` includes the parent's."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


MODES = {"import": run_import, "table": run_table, "engine": run_engine}


def measured(mode: str, folder: Path) -> tuple[float, float, float]:
    """Return rows a second of CPU and of wall time, and the peak of memory in MB, of a process of its own."""
    shutil.rmtree(folder / mode, ignore_errors=True)
    words = [sys.executable, __file__, "--mode", mode, "--folder", str(folder)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    cpu, wall, peak = map(float, done.stdout.split())
    return cpu, wall, peak


def main() -> None:
    """Print the medians, or measure one import where a mode is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.mode is not None:
        started = time.process_time(), time.perf_counter()
        rows = MODES[given.mode](given.folder)
        seconds = time.process_time() - started[0], time.perf_counter() - started[1]
        print(*(rows / taken for taken in seconds), peak_mb())
        return
    with tempfile.TemporaryDirectory() as folder:
        write_file(Path(folder), given.rows)
        write_table(Path(folder))
        rates: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in MODES}
        for _ in range(given.rounds):
            for mode, found in rates.items():
                found.append(measured(mode, Path(folder)))
    for mode, found in rates.items():
        texts = [
            f"{statistics.median(column):.{digits}f} ({min(column):.{digits}f}..{max(column):.{digits}f})"
            for column, digits in (
                ([row[0] / 1e6 for row in found], 2),
                ([row[1] / 1e6 for row in found], 2),
                ([row[2] for row in found], 0),
            )
        ]
        print(f"{mode}: {texts[0]} M rows a second of CPU, {texts[1]} of wall time; peak {texts[2]} MB")


if __name__ == "__main__":
    main()
