"""Conversations as cards: what helps a reader, in local time, cleaned, bounded, nothing empty."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import chain
from typing import Literal, NamedTuple, Self, TypedDict, TypeVar

from omi_mcp import dates
from omi_mcp.api import models as api
from omi_mcp.mirror import types as mirror
from omi_mcp.names import unaccented
from omi_mcp.views import budgets
from omi_mcp.views.models import ActionItem, ConversationCard, ConversationDetail, Event, Hit, ShownConversation
from omi_mcp.views.text import clean_line, clean_prose
from omi_mcp.views.transcripts import speaker_name

Detail = Literal["concise", "full", "hits"]
UNTITLED = "(no title)"

BEGINNING, ENDING = 3, 3
"""Characters by which a word is known in another form: so many at least, and all but the last."""

Part = TypeVar("Part", ActionItem, Event, Hit)


class _Heading(TypedDict):
    id: str
    title: str
    started: str
    weekday: str
    minutes: int | None
    category: str | None
    folder: str | None
    starred: bool | None


_FILING = ("minutes", "category", "folder", "starred")
"""What a card that is nothing but hits leaves out of its heading."""


def search_cards(matches: Sequence[mirror.Match], zone: tzinfo, detail: Detail = "concise") -> list[ConversationCard]:
    """One card for each match, best first. Where the page is too long, the last ones give way first and the best one
    last: they lose hits and overview, never a fact of the heading.
    """
    concise = detail == "concise"
    sizes = budgets.CONCISE if concise else budgets.FULL
    found = any(match.hits for match in matches)
    allowance = budgets.concise_page(len(matches), found=found) if concise else budgets.FULL_PAGE
    whole = [_Whole.of(match, zone) for match in matches]
    cards = [_sized(card, sizes[0]) for card in whole]
    taken = [budgets.json_size(card.dump()) + 1 for card in cards]
    for index, size in _cuts(len(cards), sizes, budgets.BEST if found and concise else 0):
        if sum(taken) <= allowance:
            break
        cards[index] = _sized(whole[index], size)
        taken[index] = budgets.json_size(cards[index].dump()) + 1
    return cards


def hit_cards(matches: Sequence[mirror.Match], zone: tzinfo, limit: int) -> list[ConversationCard]:
    """A card for each of the first matches, all its hits and no more: as many as fit in `limit` characters, or one."""
    cards: list[ConversationCard] = []
    for match in matches:
        hits = [hit(found) for found in match.hits]
        total = match.found if match.found > len(hits) else None
        card = ConversationCard(**_heading(match.stored, zone), hits=hits or None, hits_total=total)
        card = card.model_copy(update=dict.fromkeys(_FILING))
        limit -= budgets.json_size(card.dump()) + 1
        if limit < 0 and cards:
            break
        cards.append(card)
    return cards


def to_do_cards(matches: Sequence[mirror.Match], zone: tzinfo, now: datetime) -> list[ConversationCard]:
    """One card for each match, in their order, with its open action items, and why it was found where no item says so.

    Where the page is too long, each shows fewer of its items, and how many are open.
    """
    whole = [_action_items(match.to_do, zone, now) for match in matches]
    cards: list[ConversationCard] = []
    for limit in budgets.TO_DO_ITEMS:
        cards = [_to_do_card(match, items, zone, limit) for match, items in zip(matches, whole, strict=True)]
        if sum(budgets.json_size(card.dump()) + 1 for card in cards) <= budgets.to_do_page(len(cards)):
            break
    return cards


def other_items(
    items: Sequence[api.ActionItem], zone: tzinfo, now: datetime
) -> tuple[list[ActionItem] | None, int | None]:
    """Open action items of no conversation, as many as there is room for, and the number of those left out."""
    return _bounded(_action_items(items, zone, now), budgets.TO_DO_OTHERS)


def _to_do_card(match: mirror.Match, items: Sequence[ActionItem], zone: tzinfo, limit: int) -> ConversationCard:
    shown, left_out = _bounded(items, limit)
    hits = [hit(found) for found in match.hits if found.field not in ("title", "action_items")]
    return ConversationCard(
        **_heading(match.stored, zone),
        open_action_items=len(items) if left_out else None,
        action_items=shown,
        hits=hits[:1] or None,
    )


def _cuts(count: int, sizes: Sequence[budgets.CardSize], best: int) -> Iterator[tuple[int, budgets.CardSize]]:
    """Which card gives way next, and to which size: the last ones first, down to the smallest those behind the `best`,
    and no other before all have given what else they can.
    """
    *smaller, smallest = sizes[1:]
    for size in sizes[1:]:
        for index in range(count - 1, best - 1, -1) if best else ():
            yield index, size
    last_first = range(min(count, best or count) - 1, 0, -1)
    for size in smaller:
        for index in last_first:
            yield index, size
    for size in smaller:
        yield 0, size
    for index in (*last_first, 0):
        yield index, smallest


def detail_card(
    stored: mirror.Stored, zone: tzinfo, speakers: Sequence[str] = (), *, most_items: int | None = None
) -> ConversationDetail:
    """The whole card, without `moments`, `transcript` and `note`. `speakers` as the transcript names them."""
    conversation = stored.conversation
    structured = conversation.structured
    written = _action_items(structured.action_items, zone)
    items, _ = _bounded(written[:most_items], budgets.ITEMS)
    events, events_left_out = _bounded([_event(event, zone) for event in structured.events], budgets.EVENTS)
    return ConversationDetail(
        **_heading(stored, zone),
        hidden=stored.hidden or None,
        language=_line(conversation.language, budgets.NAME),
        place=_line(conversation.geolocation.address, budgets.TITLE) if conversation.geolocation else None,
        speakers=_names(speakers)[: budgets.EVERYONE] or None,
        speakers_left_out=max(0, len(_names(speakers)) - budgets.EVERYONE) or None,
        overview=budgets.excerpt(clean_prose(structured.overview), budgets.OVERVIEW) or None,
        action_items=items,
        action_items_left_out=len(written) - len(items or ()) or None,
        events=events,
        events_left_out=events_left_out,
    )


def shown_card(stored: mirror.Stored, zone: tzinfo, speakers: Sequence[str], *, summary: bool) -> ShownConversation:
    """What a model is told of a conversation that the user is shown; `summary`: with its overview, cut short."""
    overview = budgets.excerpt(clean_prose(stored.conversation.structured.overview), budgets.GLANCE) if summary else ""
    heading = _heading(stored, zone)
    return ShownConversation(
        id=heading["id"],
        title=heading["title"],
        started=heading["started"],
        minutes=heading["minutes"],
        speakers=_names(speakers)[: budgets.SPEAKERS] or None,
        overview=overview or None,
    )


def heading_card(stored: mirror.Stored, zone: tzinfo, speakers: Sequence[str]) -> ConversationDetail:
    """Which conversation this is, for a reader who wants one place in it."""
    heading = _heading(stored, zone)
    names = _names(speakers)
    return ConversationDetail(
        id=heading["id"],
        title=heading["title"],
        started=heading["started"],
        hidden=stored.hidden or None,
        speakers=names[: budgets.SPEAKERS] or None,
        speakers_left_out=max(0, len(names) - budgets.SPEAKERS) or None,
    )


def moments(hits: Sequence[mirror.Hit], limit: int) -> list[Hit]:
    """As many of the hits, best first, as fit in `limit` characters of JSON."""
    return _bounded([hit(found) for found in hits], limit)[0] or []


def hit(found: mirror.Hit) -> Hit:
    return Hit(
        field=None if found.field == "transcript" else found.field,
        at=None if found.at is None else dates.format_offset(found.at),
        segment=found.segment,
        speaker=found.speaker and speaker_name(found.speaker),
        text=budgets.shorten(clean_line(found.text), budgets.SNIPPET),
        words=budgets.shorten(" ".join(_unseen(found)), budgets.WORDS) or None,
        then=found.then
        and f"{speaker_name(found.then[0])}: {budgets.shorten(clean_line(found.then[1]), budgets.REPLY)}",
    )


def _unseen(found: mirror.Hit) -> list[str]:
    """The words by which a hit was found that a reader does not see in it: said in another form, or cut off."""
    shown = unaccented(f"{found.speaker or ''} {found.text}")
    asked = {word: unaccented(word.strip('"')) for word in found.words}
    return [word for word, folded in asked.items() if folded[: max(BEGINNING, len(folded) - ENDING)] not in shown]


def title(conversation: api.Conversation, opening: str = "") -> str:
    """The title; of a conversation without one that it has none, and the first words that are known of it.

    `opening` is how its transcript begins, where `conversation` does not hold it.
    """
    if given := _line(conversation.structured.title, budgets.TITLE):
        return given
    said = (segment.text for segment in conversation.transcript_segments or ())
    words = next(filter(None, map(clean_line, chain(said, (opening, conversation.structured.overview)))), "")
    return f'{UNTITLED} "{budgets.shorten(words, budgets.FIRST_WORDS)}"' if words else UNTITLED


class _Whole(NamedTuple):
    """A card before anything is cut, the sentence of its overview that matches, and how many hits there are."""

    card: ConversationCard
    sentence: str
    hits: int

    @classmethod
    def of(cls, match: mirror.Match, zone: tzinfo) -> Self:
        return cls(_card(match, zone), clean_line(match.sentence or ""), match.found)


def _card(match: mirror.Match, zone: tzinfo) -> ConversationCard:
    structured = match.stored.conversation.structured
    items = _action_items(structured.action_items, zone)
    return ConversationCard(
        **_heading(match.stored, zone),
        method="meaning" if match.by_meaning else None,
        speakers=_names(match.speakers),
        overview=clean_prose(structured.overview),
        open_action_items=sum(item.completed is None for item in items) or None,
        action_items=items,
        # The title is on the card already: a hit in it would say it twice.
        hits=[hit(found) for found in match.hits if found.field != "title"],
    )


def _sized(whole: _Whole, size: budgets.CardSize) -> ConversationCard:
    card, sentence, total = whole
    overview = budgets.excerpt_with(card.overview or "", sentence, size.overview)
    names = card.speakers or []
    hits = [each for each in card.hits or [] if each.field != "overview" or not overview][: size.hits]
    shown = len(hits) + bool(sentence and overview)
    return card.model_copy(
        update={
            "title": budgets.shorten(card.title, size.title),
            "speakers": names[: size.speakers] or None,
            "speakers_left_out": max(0, len(names) - size.speakers) or None,
            "overview": overview or None,
            "action_items": _bounded(card.action_items or [], size.items)[0],
            "hits": hits or None,
            "hits_total": total if total > shown else None,
        }
    )


def _heading(stored: mirror.Stored, zone: tzinfo) -> _Heading:
    conversation = stored.conversation
    started = dates.local(conversation.began, zone)
    return {
        "id": conversation.id,
        "title": title(conversation, stored.opening),
        "started": started.isoformat(),
        "weekday": dates.weekday(started),
        "minutes": max(1, round(conversation.seconds / 60)) if conversation.seconds else None,
        "category": _line(conversation.structured.category, budgets.NAME),
        "folder": _line(conversation.folder_name, budgets.NAME),
        "starred": stored.starred or None,
    }


def _names(speakers: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(speaker_name(speaker) for speaker in speakers))


def _action_items(items: Iterable[api.ActionItem], zone: tzinfo, now: datetime | None = None) -> list[ActionItem]:
    """Open ones first, each group in its order; with `now` it is said of those that are overdue."""
    return [
        ActionItem(
            description=budgets.excerpt(clean_line(item.description), budgets.TO_DO_ITEM if now else budgets.ITEM),
            completed=item.completed or None,
            due=_local(item.due_at, zone),
            overdue=bool(now and item.due_at and item.due_at < now and not item.completed) or None,
        )
        for item in sorted(items, key=lambda item: item.completed)
        if item.description.strip()
    ]


def _event(event: api.Event, zone: tzinfo) -> Event:
    return Event(
        title=_line(event.title, budgets.TITLE) or UNTITLED,
        description=budgets.excerpt(clean_line(event.description), budgets.ITEM) or None,
        start=_local(event.start, zone),
        minutes=event.duration,
    )


def _bounded(parts: Sequence[Part], limit: int) -> tuple[list[Part] | None, int | None]:
    """As many of the first parts as fit in `limit` characters of JSON, and the number of those left out."""
    kept: list[Part] = []
    for part in parts:
        limit -= budgets.json_size(part.dump()) + 1
        if limit < 0:
            break
        kept.append(part)
    return kept or None, len(parts) - len(kept) or None


def _line(text: str | None, limit: int) -> str | None:
    return budgets.shorten(clean_line(text), limit) if text else None


def _local(moment: datetime | None, zone: tzinfo) -> str | None:
    return dates.local(moment, zone).isoformat() if moment else None
