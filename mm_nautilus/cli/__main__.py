"""Run the command line with ``python -m mm_nautilus.cli``."""

from mm_nautilus.cli import process_main

if __name__ == "__main__":
    process_main()
