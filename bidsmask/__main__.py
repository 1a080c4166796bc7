"""`python -m bidsmask` is `bidsmask`."""

import sys

from bidsmask.cli import program

if __name__ == "__main__":
    sys.exit(program())
