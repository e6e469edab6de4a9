"""What a Coze bot can honestly declare to LangChain's standard suites.

A bot's tools and output format are set in Coze, and nothing on the request can define or force them
(wire 2.1): its tool turns have tests of their own (`test_tool_turns.py`, `test_agents.py`). Images,
files and audio are sent, but the suite fetches its samples from the internet: `test_files.py` has
its own. The suite's timing of a stream needs recorded cassettes; `make bench` measures instead.
"""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from langchain_coze import ChatCoze


class CozeCapabilities:
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatCoze

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_tool_choice(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def supports_json_mode(self) -> bool:
        return False
