"""Every call of the official SDKs, unchanged, against the local server; their known defects."""

from itertools import product

import httpx
import pytest

from tests.conformance.calls import CALLS, PROFILES, expected
from tests.conformance.install import SDKS
from tests.conformance.matrix import Matrix
from tests.conformance.sdk_runner import ROOT, server, why_not_ready

COLUMNS = list(product(SDKS, PROFILES))


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return Matrix()


def named(call: str, sdk: str, profile: str) -> str:
    kind = expected(call, sdk, profile).kind
    return "-".join([sdk, profile, call, *(["known-defect"] if kind == "defect" else [])])


PLAYED = [
    pytest.param(call, sdk, profile, id=named(call, sdk, profile))
    for sdk, profile in COLUMNS
    for call in CALLS
    if expected(call, sdk, profile).line
]


@pytest.mark.parametrize(("call", "sdk", "profile"), PLAYED)
def test_every_call_has_the_expected_result(
    call: str, sdk: str, profile: str, matrix: Matrix
) -> None:
    if problem := why_not_ready(sdk):
        pytest.skip(problem)
    told = expected(call, sdk, profile)
    what = f"known defect of {sdk}: {told.defect.en}" if told.defect else "no defect is known"
    assert matrix.lines(sdk, profile)[call] == told.line, what


def test_studio_lacks_the_routes_that_are_not_tried() -> None:
    not_tried = {call for call in CALLS if not expected(call, "cozepy", "studio").line}
    assert not_tried == {"chat.submit_tool_outputs.stream", "chat.submit_tool_outputs.poll"}
    with server("studio") as coze:
        answer = httpx.post(
            f"{coze.base_url}/v3/chat/submit_tool_outputs",
            headers={"Authorization": f"Bearer {coze.token}"},
            json={"tool_outputs": []},
        )
    assert answer.status_code == 401


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_documentation_has_the_matrix(language: str, matrix: Matrix) -> None:
    if problems := [problem for sdk in SDKS if (problem := why_not_ready(sdk))]:
        pytest.skip("; ".join(problems))
    page = ROOT / "docs" / language / "local-api.md"
    assert f"\n{matrix.markdown(language)}\n" in page.read_text("utf-8")
