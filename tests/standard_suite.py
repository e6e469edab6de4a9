"""What LangChain's standard test suites may expect of a Coze bot.

The tools and the output format of a bot are set in Coze; a request can neither define nor force
them (wire 2.1). Tool calls are tested elsewhere: `test_tool_turns.py` and `test_agents.py`.
Images, files and audio are supported, but the suite downloads its samples from the internet;
`test_files.py` covers them. The suite times streams with recorded cassettes; `make bench` measures
them instead.
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
