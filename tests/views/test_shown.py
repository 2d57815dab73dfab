"""What the viewer is given holds for any transcript: shares that add up, lanes that fit, a window that lies in it."""

from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.api.models import Segment
from omi_mcp.views import shown
from omi_mcp.views.transcripts import Place, Transcript

times = st.floats(0, 100_000, allow_nan=False)
segments = st.builds(
    lambda speaker, text, start, length: Segment(text=text, speaker_name=speaker, start=start, end=start + length),
    st.sampled_from([f"Speaker {number}" for number in range(10)]),
    st.text("ab .\u00e9", max_size=400),
    times,
    st.floats(0, 500),
)


@given(st.lists(segments, min_size=1, max_size=60))
def test_shares_add_up_and_lanes_lie_on_the_line(said: list[Segment]) -> None:
    transcript = Transcript("c", said)
    view = shown.people(transcript)
    names = [person["name"] for person in view["people"]]
    assert names == list(transcript.speakers)
    assert sum(person["share"] for person in view["people"]) == 0 or abs(
        sum(person["share"] for person in view["people"]) - 1
    ) < 0.001 * len(names)
    assert len(view["lanes"]) == (len(names) if len(names) <= shown.LANES + 1 else shown.LANES + 1)
    for lane in view["lanes"]:
        assert lane
        assert len(lane) % 2 == 0
        assert lane == sorted(lane)
        assert 0 <= lane[0] <= lane[-1] <= shown.STEPS


@given(st.lists(segments, min_size=1, max_size=60), st.integers(0, 59))
def test_the_first_window_and_those_around_it_are_the_transcript(said: list[Segment], place: int) -> None:
    transcript = Transcript("c", said)
    window = shown.opening(transcript, Place(min(place, len(transcript) - 1)), 400)
    parts = [window.text]
    before, after = window.previous, window.following
    while before is not None:
        earlier = transcript.window(before, 400)
        parts.insert(0, earlier.text)
        before = earlier.previous
    while after is not None:
        later = transcript.window(after, 400)
        parts.append(later.text)
        after = later.following
    assert _words("\n".join(parts)) == _words(transcript.whole())


def _words(text: str) -> list[str]:
    """What was said, without the times and names that stand before it."""
    return [word for line in text.splitlines() for word in line.partition(": ")[2].split()]
