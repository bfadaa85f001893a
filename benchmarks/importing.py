"""Measure how many book rows a second an import takes, beside the engine's own loader and writer.

Usage: python benchmarks/importing.py [--rows N] [--rounds N]

A simulated book is exported as a Tardis file and repeated, later each time, until it has the rows. Each import is a
process of its own, in turns; what counts is the CPU time from the first byte to the finished catalog, as other programs
take the wall time of a busy machine. The engine checks no symbol, tick or time, and follows no book.
"""

import argparse
import gzip
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nautilus_trader.adapters.tardis import load_tardis_deltas
from nautilus_trader.model import InstrumentId
from nautilus_trader.persistence import ParquetDataCatalog

from mm_nautilus.data.export import export_catalog
from mm_nautilus.data.formats import FORMATS
from mm_nautilus.data.importing import import_files
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.data.simulator import SimulationConfig, write_sample

INSTRUMENT = "XRPUSDT"
BOOK = f"{INSTRUMENT}_incremental_book_L2.csv.gz"


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
        folder / "ours",
        source_symbol=source.source_symbol,
    )
    return found.deltas


def run_engine(folder: Path) -> int:
    """Load the file and write its deltas by the engine alone; returns how many."""
    spec = load_instrument(folder / f"{INSTRUMENT}.yaml", {}).spec
    name = InstrumentId.from_str(spec.instrument_id)
    deltas = load_tardis_deltas(str(folder / BOOK), spec.price_precision, spec.size_precision, name)
    (folder / "engine").mkdir()
    ParquetDataCatalog(str(folder / "engine")).write_order_book_deltas(deltas)
    return len(deltas)


MODES = {"import": run_import, "engine": run_engine}


def measured(mode: str, folder: Path) -> float:
    """Return how many rows a second of CPU a process of its own took."""
    shutil.rmtree(folder / ("ours" if mode == "import" else mode), ignore_errors=True)
    words = [sys.executable, __file__, "--mode", mode, "--folder", str(folder)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


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
        started = time.process_time()
        rows = MODES[given.mode](given.folder)
        print(rows / (time.process_time() - started))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_file(Path(folder), given.rows)
        rates: dict[str, list[float]] = {mode: [] for mode in MODES}
        for _ in range(given.rounds):
            for mode, found in rates.items():
                found.append(measured(mode, Path(folder)))
    for mode, found in rates.items():
        middle, least, most = (pick(found) / 1e6 for pick in (statistics.median, min, max))
        print(f"{mode}: {middle:.2f} M rows a second of CPU ({least:.2f}..{most:.2f})")


if __name__ == "__main__":
    main()
