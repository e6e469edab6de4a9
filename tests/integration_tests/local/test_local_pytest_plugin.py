import sys

import langchain_coze.local
from langchain_coze.local import LocalCoze
from tests.integration_tests.local.local_client import Client, answers, user

pytest_plugins = ["langchain_coze.local.pytest_plugin"]


def test_fixture_serves_the_sample_bot_in_both_languages(local_coze: LocalCoze) -> None:
    with Client(local_coze) as client:
        chinese = client.chat(additional_messages=[user("怎么发布智能体？")])
        english = client.chat(additional_messages=[user("How do I publish a bot?")])
    assert "勾选 API 渠道" in answers(chinese)[0]
    assert "tick the API channel" in answers(english)[0]


def test_fixture_can_be_imported_from_the_package() -> None:
    home = sys.modules["langchain_coze.local.pytest_plugin"]
    assert langchain_coze.local.local_coze is home.local_coze
