"""What a model and a person ask alike: the steps of a search and of reading a conversation, once for both.

Tools and commands bring arguments that are parsed, and choose the words they answer in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from omi_mcp import dates
from omi_mcp.api.errors import InvalidRequest
from omi_mcp.library import Found, Library
from omi_mcp.mirror.types import Filters, Hit, Stored, ToDo
from omi_mcp.views import budgets, notes, shown
from omi_mcp.views.cards import Detail, detail_card, hit, hit_cards, other_items, search_cards, to_do_cards
from omi_mcp.views.errors import Wording
from omi_mcp.views.models import SearchAnswer
from omi_mcp.views.transcripts import START, Place, Transcript, user_name


class Misused(InvalidRequest):
    """An argument that does not suit the conversation: there is no such place in it, or nobody of that name."""


@dataclass(frozen=True)
class Opened:
    """One conversation as it was asked for.

    `absence` says why no transcript is shown, and is None where one is; `place` is then where it opens. `hits` are
    where the words that were looked for are said, best first; `user` is which of the speakers is the user.
    """

    stored: Stored
    transcript: Transcript
    absence: Wording | None = None
    place: Place = START
    hits: Sequence[Hit] = ()
    user: str | None = None


async def read(
    library: Library,
    conversation_id: str,
    *,
    transcript: bool = True,
    find: str | None = None,
    at: float | None = None,
    segment: int | None = None,
    cursor: str | None = None,
    speaker: str | None = None,
) -> Opened:
    """A conversation, opened a little before the first of the places that is given: the best hit for the words of
    `find`, `at` so many seconds, a `segment`; or just at a `cursor`; at its start where the words are not said.

    Raises:
        Misused: there is no such place in it, or no such speaker.
        OmiError: it cannot be read.
    """
    reading = await library.get(conversation_id, transcript=transcript)
    stored = reading.stored
    conversation = stored.conversation
    spoken = Transcript(conversation.id, conversation.transcript_segments or (), conversation.seconds)
    if not transcript or not len(spoken):
        why = notes.no_transcript(stored.transcript, asked=transcript, obstacle=reading.obstacle)
        return Opened(stored, spoken, why)
    people = await library.people()
    user = spoken.user(people.user)
    if speaker:
        names = people.meant(speaker) or filter(None, (user,))
        speaker = next((name for name in names if spoken.speaks(name)), speaker)
    said_by = (speaker,) if speaker else ()
    found = await library.find_in(conversation.id, find, budgets.HITS, said_by) if find else ()
    hits = spoken.hits_of(speaker, found)
    return Opened(
        stored,
        spoken,
        place=_place(spoken, hits, at=at, segment=segment, cursor=cursor, speaker=speaker),
        hits=hits,
        user=user,
    )


def viewed(opened: Opened, zone: tzinfo, *, find: str | None = None, whole: bool = False) -> dict[str, Any]:
    """What the viewer shows of it, JSON-ready: the whole transcript, or a window around the place it opens at."""
    transcript = opened.transcript
    card = detail_card(opened.stored, zone, transcript.speakers).dump()
    if opened.absence is not None:
        return {"conversation": card, "note": opened.absence.person}
    if whole:
        start = replace(START, speaker=opened.place.speaker, mark=opened.place.mark)
        window = transcript.window(start, budgets.WHOLE)
    else:
        window = shown.opening(transcript, opened.place)
    conversation = card | {
        "user": user_name(opened.user),
        "moments": [hit(found).dump() for found in opened.hits],
        "transcript": transcript.view(window).dump(),
    }
    unsaid = "Nobody says these words here; it opens at the start." if find and not opened.hits else None
    return {"conversation": conversation, **shown.people(transcript), "find": find, "note": unsaid}


def _place(
    transcript: Transcript,
    hits: Sequence[Hit],
    *,
    at: float | None,
    segment: int | None,
    cursor: str | None,
    speaker: str | None,
) -> Place:
    argument = "cursor"
    try:
        if cursor:
            return transcript.at_cursor(cursor)
        argument = "speaker"
        start = transcript.at_segment(0, speaker or None)
        argument = "at"
        if at:
            return transcript.leading_to(transcript.at_time(at, start.speaker))
        argument = "segment"
        if segment:
            return transcript.leading_to(transcript.at_segment(segment, start.speaker))
    except ValueError as error:
        raise Misused(argument, str(error)) from None
    if hits and hits[0].segment is not None:
        return transcript.leading_to(transcript.at_segment(hits[0].segment, start.speaker))
    return start


def search_answer(
    found: Found,
    wanted: dates.Range,
    zone: tzinfo,
    now: datetime,
    *,
    detail: Detail = "concise",
    room: int = budgets.HITS_PAGE,
    copying: bool = True,
) -> SearchAnswer:
    """What a search found, how it was understood and how far it reached, without `next_cursor`.

    `wanted` is the time it was limited to. With the detail "hits" it ends where `room` (characters) does, or shows one
    conversation. `copying` False: nothing is copied after this answer.
    """
    results = found.results
    cards = (
        [*hit_cards(results.matches, zone, room), *hit_cards(found.by_meaning, zone, room)]
        if detail == "hits"
        else search_cards(found.matches, zone, detail)
    )
    answer = SearchAnswer(
        range=notes.understood(wanted),
        user=user_name(found.user),
        conversations=cards,
        matched=results.close,
        matched_loosely=results.total - results.close + found.unworded or None,
        unmatched=None if any(not each.within for each in found.heard) else notes.unmatched(results),
        note=notes.found(
            results,
            filtered=found.filters != Filters(),
            zone=zone,
            ahead=wanted.is_ahead(now),
            unheard=found.unheard,
            heard=found.heard,
            people=bool(found.filters.speakers) and found.to_do is None,
        ),
        coverage=notes.coverage(
            found.counts,
            found.progress,
            zone,
            now,
            filters=found.filters,
            newest=found.newest and notes.may_be_new(found.query, found.results, found.progress, zone, now),
            copying=copying,
        ),
    )
    if found.by_meaning:
        said = (answer.note, notes.by_meaning(len(found.by_meaning)))
        answer = answer.model_copy(update={"note": " ".join(filter(None, said))})
    return _with_to_do(answer, found, found.to_do, zone, now) if found.to_do else answer


def _with_to_do(answer: SearchAnswer, found: Found, to_do: ToDo, zone: tzinfo, now: datetime) -> SearchAnswer:
    """The answer for who asks what is still to do: open items in full, and those that belong to no conversation."""
    others, left_out = other_items(to_do.loose, zone, now)
    today = dates.local(now, zone)
    said = (answer.note if found.results.total or not others else None, notes.to_do(to_do, zone, now))
    return answer.model_copy(
        update={
            "conversations": to_do_cards(found.results.matches, zone, now),
            "other_action_items": others,
            "other_action_items_left_out": left_out,
            "today": f"{dates.weekday(today)} {today.date().isoformat()}",
            "note": " ".join(filter(None, said)) or None,
        }
    )
