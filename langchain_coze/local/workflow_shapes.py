"""The wire shapes of workflows: of coze.cn and coze.com, and of Coze Studio (wire 4 and 8)."""

from collections.abc import Mapping
from typing import Any

from langchain_coze.local import gojson
from langchain_coze.local.ids import stable_id
from langchain_coze.local.problems import Problem
from langchain_coze.local.profiles import CloudProfile, token_usage
from langchain_coze.local.runs import WorkflowRun

__all__ = ["CloudWorkflows", "StudioWorkflows", "workflow_shapes"]


class CloudWorkflows:
    """Workflows of coze.cn and coze.com.

    Attributes:
        not_published: The code of a workflow that is not there for callers.
    """

    not_published = 4200

    def variables(self, run: WorkflowRun) -> Any:
        """What the End node gave: its variables, or a text when it gives text."""
        value = None if run.output is None else run.output.value
        if run.workflow.gives_text:
            return value if isinstance(value, str) else ("" if value is None else _json(value))
        if value is None:
            return {}
        return value if isinstance(value, dict) else {"output": value}

    def data(self, run: WorkflowRun) -> str:
        """The output of a run as its reply tells it: always a string (wire 4.2)."""
        variables = self.variables(run)
        return _json(self.answer(variables) if run.workflow.gives_text else variables)

    def answer(self, text: str) -> dict[str, Any]:
        """The wrapper around the text of an End node."""
        return {"content_type": 1, "data": text, "original_result": None, "type_for_model": 2}

    def debug_url(self, run: WorkflowRun) -> str:
        """The page that would show a run."""
        return (
            f"https://www.coze.cn/work_flow?execute_id={run.execute_id}"
            f"&space_id={stable_id('workspace', 'local')}&workflow_id={run.workflow.workflow_id}"
        )

    def reply(self, run: WorkflowRun) -> dict[str, Any]:
        """The reply that tells the output of a run."""
        return {
            "code": 0,
            "data": self.data(run),
            "debug_url": self.debug_url(run),
            "msg": "",
            "usage": usage(run),
        }

    def refusal(
        self, problem: Problem, profile: CloudProfile, place: tuple[str, str], *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """An error: its HTTP status and body.

        Args:
            problem: The error.
            profile: The shapes of the installation.
            place: The route that was asked, and the log id.
            real_status: Whether the status is the matching one instead of 200.
        """
        return profile.problem(problem, *place, real_status=real_status)

    def failure(self, run: WorkflowRun) -> dict[str, Any]:
        """What the error of a failed run tells besides code and message.

        The API's page lists ``debug_url`` for every reply; no failed one is recorded.
        """
        return {"debug_url": self.debug_url(run)}


class StudioWorkflows(CloudWorkflows):
    """Workflows of Coze Studio."""

    not_published = 6031

    def answer(self, text: str) -> dict[str, Any]:
        """The wrapper around the text of an End node."""
        return {"content_type": 1, "data": text, "type_for_model": 2}

    def reply(self, run: WorkflowRun) -> dict[str, Any]:
        """The reply that tells the output of a run."""
        return {
            "code": 0,
            "msg": None,
            "data": self.data(run),
            "token": sum(run.usage),
            "cost": "0.00000",
            "debug_url": self.debug_url(run),
            "execute_id": run.execute_id,
            "BaseResp": None,
        }

    def refusal(
        self, problem: Problem, profile: CloudProfile, place: tuple[str, str], *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """An error that a workflow has found: status 200 with its own code (wire 1.5, 4.8)."""
        del profile, place, real_status
        return 200, {"code": problem.code, "msg": problem.message}

    def failure(self, run: WorkflowRun) -> dict[str, Any]:  # noqa: ARG002 - nothing is told
        """Nothing."""
        return {}


_SHAPES: Mapping[str, type[CloudWorkflows]] = {"cloud": CloudWorkflows, "studio": StudioWorkflows}


def workflow_shapes(profile: CloudProfile) -> CloudWorkflows:
    """The shapes that belong to a profile."""
    return _SHAPES[profile.name]()


def usage(run: WorkflowRun) -> dict[str, Any]:
    """The tokens of a run."""
    counts = token_usage(*run.usage)
    return {name: counts[name] for name in ("input_count", "token_count", "output_count")}


def _json(value: Any) -> str:
    return gojson.dumps(value)
