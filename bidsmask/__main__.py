"""`python -m bidsmask` is `bidsmask`."""

import sys

from bidsmask.cli import main

if __name__ == "__main__":
    sys.exit(main())
