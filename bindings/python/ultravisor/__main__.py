# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line: python3 -m ultravisor demo [DISK], run, restore, saved,
export, import"""

import sys

from . import database, demo, guest

COMMANDS = {"demo": demo.main, "run": guest.run, "restore": guest.restore,
            "saved": guest.describe, "export": database.export,
            "import": database.import_}

if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
    sys.exit(f"usage: ultravisor {{{','.join(COMMANDS)}}} ...")
sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
