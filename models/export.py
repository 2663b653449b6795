"""`python -m models.export` is `python -m g_selfatt.models.export`."""

import sys

from g_selfatt.models.export import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
