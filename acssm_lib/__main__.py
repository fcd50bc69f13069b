"""``python -m acssm_lib``: the ``acssm`` command, where its script is not on the path."""

import os
import sys

# ``-m`` puts the working directory first: a random.py there would stand for Python's own.
if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
    sys.path.append(sys.path.pop(0))

from acssm_lib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
