"""What the real service asks a language model, answered by rule: title, overview, category, action items, discard.

The rules, so that a test can predict them:

- title: the first sentence, cut at a word to 60 characters, without its closing punctuation;
- overview: the first sentences, up to 300 characters;
- category: the one whose words occur most often, `other` when none does;
- action items: sentences in which somebody takes something on ("I'll ...", "need to ...", "TODO: ..."), at most ten;
- discarded (segments only): fewer than five words in all, or nothing but small talk.
"""

import re
from collections import Counter
from itertools import islice
from typing import Any

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_MARKUP = re.compile(r"^[\s#>*\-\[\]]+")
_TAKEN_ON = (
    " i'll ", " i will ", " we'll ", " we will ", " i need to ", " we need to ", " you need to ", " i have to ",
    " we have to ", " don't forget to ", " remember to ", " action item", " todo", " to-do",
)  # fmt: skip
_CHATTER = """
a ah alright and are bye cool day did do doing fine good goodbye great have hello hey hi how hm hmm huh i i'm is it
it's later mhm mm morning nice night no ok okay oh right see sounds sure thank thanks that that's the there too
uh um was weather well what's yeah yep yes you your
"""
_SMALL_TALK = frozenset(_CHATTER.split())
_VOCABULARY: dict[str, str] = {
    word: category
    for category, words in {
        "work": "meeting project deadline team client roadmap sprint standup manager colleague",
        "business": "revenue customer customers sales pricing contract market startup invoice partnership",
        "technology": "software code api server database bug deploy computer app data model",
        "finance": "budget money bank loan tax taxes invest investment savings mortgage",
        "health": "doctor health medicine sleep exercise diet symptoms therapy hospital dentist",
        "education": "school teacher students learning course university homework exam lecture curriculum",
        "travel": "flight hotel trip travel airport passport vacation itinerary",
        "family": "mom dad mother father sister brother kids grandma parents",
        "sports": "game match football soccer basketball tennis training coach",
        "music": "song album concert guitar piano band",
        "design": "design button interface layout prototype colour color remote",
        "legal": "lawyer court law legal legislation clause",
        "politics": "government minister election parliament policy committee",
        "science": "experiment research hypothesis physics biology chemistry",
        "environment": "climate energy recycling emissions pollution",
        "entertainment": "movie film series netflix theatre",
        "literature": "book novel author poem chapter",
        "news": "headline journalist newspaper",
        "weather": "rain snow forecast temperature",
        "social": "party friends birthday dinner",
    }.items()
    for word in words.split()
}  # fmt: skip
_EMOJI = {"work": "💼", "business": "📈", "technology": "💻", "health": "🩺", "family": "👪", "music": "🎵"}
DEFAULT_EMOJI = "🧠"


def structure(text: str) -> dict[str, Any]:
    """The `structured` object of a conversation with these words; its title is empty only if there are no words."""
    sentences = [sentence for raw in _SENTENCE.findall(text) if _WORD.search(sentence := _MARKUP.sub("", raw).strip())]
    category = _category(text)
    return {
        "title": _cut(sentences[0], 60).rstrip(".!?,;: ") if sentences else "",
        "overview": _cut(" ".join(sentences[:20]), 300),
        "emoji": emoji(category),
        "category": category,
        "action_items": [_action_item(sentence) for sentence in islice(filter(_taken_on, sentences), 10)],
        "events": [],
    }


def emoji(category: str) -> str:
    return _EMOJI.get(category, DEFAULT_EMOJI)


def discarded(text: str) -> bool:
    """Whether a recording with these words is a scrap or small talk that the service hides."""
    words = [word.lower() for word in _WORD.findall(text)]
    return len(words) < 5 or all(word in _SMALL_TALK for word in words)


def _category(text: str) -> str:
    counts = Counter(filter(None, map(_VOCABULARY.get, _WORD.findall(text.lower()))))
    return counts.most_common(1)[0][0] if counts else "other"


def _taken_on(sentence: str) -> bool:
    words = " " + sentence.lower().replace("\u2019", "'")
    return any(phrase in words for phrase in _TAKEN_ON)


def _action_item(sentence: str) -> dict[str, Any]:
    return {
        "description": _cut(sentence, 200),
        "completed": False,
        "created_at": None,
        "updated_at": None,
        "due_at": None,
        "completed_at": None,
        "conversation_id": None,
    }


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length + 1].rsplit(" ", 1)[0][:length]
