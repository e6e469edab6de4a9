"""The options of a chat request that are sent as they are, and the default user (wire 2.1)."""

from __future__ import annotations

STRING_MAP_OPTIONS = ("custom_variables", "meta_data", "extra_params")
"""Options that are maps of str to str on the wire."""

PLAIN_OPTIONS = ("parameters", "bot_version", "publish_status", "enable_card", "connector_id")
"""Options that are sent unchanged."""

DEFAULT_USER_ID = "langchain-coze"
"""The end user when the caller names none."""
