"""``python -m zeroret`` is the ``zeroret`` command."""

import sys

from zeroret.cli import main

sys.exit(main())
