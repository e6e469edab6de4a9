"""The options of a chat request, and the default user (wire section 2.1)."""

from __future__ import annotations

STRING_MAP_OPTIONS = ("custom_variables", "meta_data", "extra_params")
"""Options that are maps of str to str on the wire."""

PLAIN_OPTIONS = ("parameters", "bot_version", "publish_status", "enable_card", "connector_id")
"""Options that are sent unchanged."""

DEFAULT_USER_ID = "langchain-coze"
"""The end user if the caller sets none."""
