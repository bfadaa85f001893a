"""Run the command line with ``python -m mm_nautilus.cli``."""

from mm_nautilus.cli.app import main

if __name__ == "__main__":
    main()
