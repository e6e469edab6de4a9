"""Errors of the API: codes, messages and HTTP statuses."""

from __future__ import annotations

INVALID_BODY = (
    "The field http body provided is not a valid json or chat request. Please check your input."
)
INVALID_PARAMETERS = (
    "Invalid request parameters. Please check your input and ensure all required fields are "
    "correctly formatted and within allowed ranges."
)
INVALID_FILE = (
    "The parameter file content or filename is invalid. It should follow the format: the file "
    "extension matches the file content and file content is common doc, common image, csv. "
    "Please review your input."
)
INCORRECT_AUTHENTICATION = (
    "The token you entered is incorrect. Please double-check and try again. For more information, "
    "refer to https://coze.cn/docs/developer_guides/authentication"
)
_MESSAGES = {
    4000: "Request parameter error",
    4001: "Invalid chat: it does not exist or was not saved",
    4002: "Invalid conversation",
    4003: "meta_data over the limit: 16 pairs, keys of 1-64 and values of 1-512 characters",
    4004: "additional_messages over the limit of 100",
    4006: "Invalid bot",
    4007: "stream=false is only allowed with auto_save_history=true",
    4015: "The bot has not been published to the channel Agent As API",
    4016: "Conversation occupied: Another chat is currently active. Please wait for the ongoing "
    "chat to complete or create a new conversation to start a separate chat. Ensure only one chat "
    "runs at a time within the same conversation.",
    4028: "Your free quota has been used up. Please upgrade to a paid plan to continue: "
    "https://console.volcengine.com/coze-pro",
    4100: "authentication is invalid",
    4101: "Your token does not have permission to access resource. "
    "Please verify whether the resource ID or token is correct.",
    4104: "The chat cannot be cancelled in its present state",
    4200: "The requested resource does not exist or is not published",
    4314: "The run does not exist",
    4315: "The run has ended",
    5000: "Internal server error",
    6003: "Workflow execution with is_async=true is a premium feature available only to "
    "Coze Professional users",
    6039: "Synchronous requests do not support interruption. Please switch to asynchronous "
    "requests for interruptible operations.",
    700012006: "access token invalid",
}

# Statuses for which the SDKs have error classes; all other codes are a bad request.
_HTTP_STATUSES = {4100: 401, 700012006: 401, 4101: 403, 4200: 404, 4013: 429, 4009: 429, 5000: 500}


class ApiError(Exception):
    """An error reply to a request (wire 7.1).

    `message` describes the problem; by default it is the general message of the code. `resource_id`
    is the object that does not exist or cannot be used; `of_other_user` if it belongs to another
    user.
    """

    def __init__(
        self, code: int, message: str = "", *, resource_id: str = "", of_other_user: bool = False
    ) -> None:
        """Use the general message of the code by default."""
        self.code, self.resource_id, self.of_other_user = code, resource_id, of_other_user
        self.message = message or _MESSAGES.get(code, f"Request failed with code {code}")
        super().__init__(f"{code}: {self.message}")


def get_failure_message(code: int) -> str:
    """Return the message of a chat or run that failed with a code."""
    return "event interval error" if code == 5000 else ApiError(code).message  # noqa: PLR2004 - recorded pair


def get_http_status(code: int) -> int:
    """Return the HTTP status that the official JavaScript SDK expects for a code (wire 1.5)."""
    return _HTTP_STATUSES.get(code, 400) if code else 200
