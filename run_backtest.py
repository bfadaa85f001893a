"""Run a backtest: ``python run_backtest.py [CONFIG] [--set KEY=VALUE] [--out DIR] [--json] [--quiet]``."""

import sys

from mm_nautilus.cli import main

if __name__ == "__main__":
    main(["backtest", *sys.argv[1:]])
