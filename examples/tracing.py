"""What a trace of a Coze bot holds: inputs, outputs, usage, provider, model, and true errors.

Run it with `python examples/tracing.py`. The tracer here prints, and sends nothing anywhere; with
LANGSMITH_TRACING and LANGSMITH_API_KEY set, LangSmith gets the same runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.tracers.base import BaseTracer

from langchain_coze import ChatCoze, CozeError
from langchain_coze.local import LocalCoze

if TYPE_CHECKING:
    from langchain_core.tracers.schemas import Run

KEPT = 60  # characters


class PrintingTracer(BaseTracer):
    """Prints each run when it has ended."""

    def __init__(self) -> None:
        """Trace messages as messages, not as one text."""
        super().__init__(_schema_format="original+chat")

    def _persist_run(self, run: Run) -> None:
        about = (run.extra or {}).get("metadata", {})
        told = message_of(run)
        print("run:", run.name, f"({run.run_type})")
        print("  provider and model:", about["ls_provider"], about["ls_model_name"])
        for message in run.inputs["messages"][0]:
            print("  input:", message["kwargs"]["content"])
        if run.error:
            *_, error = run.error.split("langchain_coze.errors.")
            print("  error:", error.strip().replace("\n", "\n    "))
            print("  body:", told["response_metadata"].get("body"))
        else:
            print("  output:", told["content"][:KEPT], "…")
            print("  usage:", told["usage_metadata"]["total_tokens"], "tokens")
            print("  logid:", told["response_metadata"]["logid"])


def message_of(run: Run) -> dict[str, Any]:
    """Return the message that a run gave, or the empty one with what is known of a failure."""
    message: dict[str, Any] = (run.outputs or {})["generations"][0][0]["message"]["kwargs"]
    return message


def main() -> None:
    """Trace a call that succeeds, and one that fails."""
    with LocalCoze() as coze:
        bot = ChatCoze(
            bot_id=coze.bots[0].bot_id,
            api_key=coze.token,
            base_url=coze.base_url,
            callbacks=[PrintingTracer()],
        )
        bot.invoke("What is a Coze workflow?")

        coze.faults = "error=4028"
        try:
            bot.invoke("What is a Coze workflow?")
        except CozeError as error:
            print(f"raised: {type(error).__name__}, logid {error.logid}")


if __name__ == "__main__":
    main()
