"""Trade on paper: ``python run_sandbox.py [CONFIG] [--set KEY=VALUE] [--duration 2h] [--venue live|local]``."""

import sys

from mm_nautilus.cli import process_main

if __name__ == "__main__":
    process_main(["sandbox", *sys.argv[1:]])
