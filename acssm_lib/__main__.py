"""``python -m acssm_lib``: the ``acssm`` command, where its script is not on the path."""

import sys

from acssm_lib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
