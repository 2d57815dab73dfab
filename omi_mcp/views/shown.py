"""What the viewer of a conversation is given beside its card: who spoke when, their shares, and a first window."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from omi_mcp.views import budgets
from omi_mcp.views.transcripts import Place, Transcript, Window

LANES = 6
"""People with a lane of their own on the time line; the others share one."""
STEPS = 1_000
"""Into so many parts the time line is divided."""


def people(transcript: Transcript) -> dict[str, Any]:
    """`people` with their share of the words, most first, and `lanes`: for each of the first of them, and for all the
    others together, the beginnings and ends of their speech by turns, in thousandths of the length.
    """
    words: Counter[str] = Counter(dict.fromkeys(transcript.speakers, 0))
    for name, segment in transcript.speech():
        words[name] += len(segment.text.split())
    names = list(transcript.speakers)
    own = names if len(names) <= LANES + 1 else names[:LANES]
    lane_of = {name: min(index, len(own)) for index, name in enumerate(names)}
    spans: list[list[tuple[float, float]]] = [[] for _ in range(min(len(names), len(own) + 1))]
    for name, segment in transcript.speech():
        spans[lane_of[name]].append((segment.start, segment.end))
    total = words.total() or 1
    return {
        "people": [{"name": name, "share": round(words[name] / total, 4)} for name in names[: budgets.EVERYONE]],
        "lanes": [_lane(each, transcript.seconds) for each in spans],
    }


def opening(transcript: Transcript, place: Place, max_chars: int = budgets.WINDOW) -> Window:
    """A window with `place` in it, a quarter of the way down where there is so much before it."""
    lead = max_chars // 4
    window = transcript.window(place, max_chars - lead)
    before = transcript.window(place, lead).previous
    if before is None:
        return window
    earlier = transcript.window(before, lead)
    return replace(
        window,
        text=f"{earlier.text}\n{window.text}",
        first_segment=earlier.first_segment,
        begins=earlier.begins,
        previous=earlier.previous,
    )


def _lane(spans: Iterable[tuple[float, float]], seconds: float) -> Sequence[int]:
    scale = STEPS / max(seconds, 1.0)
    lane: list[int] = []
    for start, end in spans:
        begins, ends = int(start * scale), round(end * scale)
        if lane and begins <= lane[-1] + 1:
            lane[-1] = max(lane[-1], ends)
        else:
            lane += begins, max(begins, ends)
    return lane
