"""Goes on with a thread that another process has begun, and prints what the tools told.

python -m tests.integration_tests.flow_process sync|async Send|list FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from langchain_coze import CozeWorkflowTool
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    THREE,
    Maker,
    Way,
    atalk,
    listing,
    sending,
    sqlite,
    talk,
)

WAY_NAMES: dict[str, Way] = {"sync": talk, "async": atalk}
MAKER_NAMES: dict[str, Maker] = {"Send": sending, "list": listing}


def main(way: str, make: str, folder: str) -> None:
    tool = CozeWorkflowTool.from_workflow(BOOK.workflow_id)
    done = WAY_NAMES[way](
        lambda saver: MAKER_NAMES[make](tool, THREE, saver), Path(folder), kept=sqlite, given=None
    )
    sys.stdout.write(json.dumps(done._asdict() | {"state": done.told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
