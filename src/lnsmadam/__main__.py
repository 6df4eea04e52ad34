"""``python -m lnsmadam``."""

import sys

from lnsmadam.cli import main

sys.exit(main())
