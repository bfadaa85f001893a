"""Trade on paper: ``python run_sandbox.py [CONFIG] [--set KEY=VALUE] [--duration 2h] [--venue live|local]``."""

import sys

from mm_nautilus.cli import main

if __name__ == "__main__":
    main(["sandbox", *sys.argv[1:]])
