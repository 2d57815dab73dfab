import json

import pytest
from jsonschema import validate

from omi_mcp.views.models import ActionItem, ConversationCard, ConversationDetail, CoverageBlock, Hit, TranscriptWindow


@pytest.mark.parametrize("model", [ConversationCard, ConversationDetail, CoverageBlock])
def test_a_schema_is_lean(model):
    schema = json.dumps(model.model_json_schema())
    assert not any(noise in schema for noise in ('"null"', '"anyOf"', '"default"', '"title": "'))


def test_an_answer_without_its_nulls_fits_its_schema():
    answer = ConversationDetail(
        id="c1",
        title="Stand-up",
        started="2025-03-14T09:30:00+01:00",
        weekday="Friday",
        action_items=[ActionItem(description="Tell Bo")],
        moments=[Hit(at="00:00:01", segment=0, speaker="Anna", text="Hello.")],
        transcript=TranscriptWindow(text="[00:00:01] Anna: Hello.", segments="0-0 of 1", covers="..."),
    ).dump()
    validate(answer, ConversationDetail.model_json_schema())
    assert "minutes" not in answer
