"""Run a backtest: ``python run_backtest.py [CONFIG] [--set KEY=VALUE] [--out DIR] [--json] [--quiet]``."""

import sys

from mm_nautilus.cli import process_main

if __name__ == "__main__":
    process_main(["backtest", *sys.argv[1:]])
