"""`python -m vemrecon`."""

import sys

from vemrecon.cli import main

sys.exit(main())
