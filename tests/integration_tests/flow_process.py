"""Continue a thread that another process has begun, and print the results of its tools.

python -m tests.integration_tests.flow_process sync|async Send|list FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from langchain_coze import CozeWorkflowTool
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    THREE_CALLS,
    GraphBuilder,
    ThreadRunner,
    build_send_graph,
    build_tool_node_graph,
    run_thread_async,
    run_thread_sync,
    sqlite_saver,
)

RUNNERS_BY_NAME: dict[str, ThreadRunner] = {"sync": run_thread_sync, "async": run_thread_async}
BUILDERS_BY_NAME: dict[str, GraphBuilder] = {
    "Send": build_send_graph,
    "list": build_tool_node_graph,
}


def main(runner: str, builder: str, folder: str) -> None:
    tool = CozeWorkflowTool.from_workflow(BOOK.workflow_id)
    done = RUNNERS_BY_NAME[runner](
        lambda saver: BUILDERS_BY_NAME[builder](tool, THREE_CALLS, saver),
        Path(folder),
        open_saver=sqlite_saver,
        graph_input=None,
    )
    sys.stdout.write(json.dumps(done._asdict() | {"state": done.tool_results}))


if __name__ == "__main__":
    main(*sys.argv[1:])
