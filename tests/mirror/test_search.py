from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from search_kit import NOON, find, ids, opened, talk

from omi_mcp.mirror.index import fts
from omi_mcp.mirror.search import ranking, tiers
from omi_mcp.mirror.store import Store
from omi_mcp.mirror.types import Phrase, Replaced


@pytest.fixture
def store() -> Iterator[Store]:
    with opened() as store:
        yield store


def test_any_word_may_match_and_more_words_rank_higher(store: Store) -> None:
    store.upsert(
        [
            talk("both", ("Ana", "We moved the greenhouse next to the orchard."), days_ago=9),
            talk("one", ("Ben", "The greenhouse is too warm.")),
            talk("none", ("Ben", "Something about the weather.")),
        ]
    )
    found = find(store, "greenhouse in the orchard")
    assert ids(found) == ["both", "one"]
    assert (found.total, found.method, found.next_offset) == (2, "ranked", None)


@pytest.mark.parametrize(
    "query", ["GREENHOUSES", "greenhouse's", "greenhouse\u2019s", "greenhouse?!", "(greenhouse", "\uff27reenhouse"]
)
def test_case_endings_width_and_punctuation_do_not_matter(store: Store, query: str) -> None:
    store.upsert([talk("a", ("Ana", "The Greenhouse, again."))])
    assert ids(find(store, query)) == ["a"]


@pytest.mark.parametrize(
    ("spoken", "query"), [("café", "cafe"), ("cafe", "café"), ("cafe\u0301", "café"), ("STRASSE", "straße")]
)
def test_accents_do_not_matter(store: Store, spoken: str, query: str) -> None:
    store.upsert([talk("a", ("Ana", f"Meet me, {spoken} corner."))])
    found = find(store, query)
    assert ids(found) == ["a"]
    assert found.matches[0].hits[0].segment == 0


SYNTAX = ['"', '""', '"""', "a*", "^a", "-a", "text:a", "{a", "NEAR(a b)", "(((", "a AND", "a b}"]


@pytest.mark.parametrize("query", [*SYNTAX, "a AND NOT b", "{a b}:c", "a + b", "' or 1=1 --", "\0", "\ud800"])
def test_nothing_in_a_query_is_syntax(store: Store, query: str) -> None:
    store.upsert([talk("a", ("Ana", "Alpha."))])
    find(store, query)


@pytest.mark.parametrize("query", ["?!", "...", "\u200b", "'", "_"])
def test_a_query_without_words_finds_nothing(store: Store, query: str) -> None:
    store.upsert([talk("a", ("Ana", "Alpha."))])
    found = find(store, query)
    assert (found.matches, found.total, found.method) == ((), 0, "ranked")


def test_stop_words_count_only_when_there_is_nothing_else(store: Store) -> None:
    store.upsert([talk("who", ("Ana", "Play something by The Who.")), talk("other", ("Ana", "Good evening Ben."))])
    assert ids(find(store, "the who")) == ["who"]
    assert ids(find(store, "who said good evening")) == ["other"]


@pytest.mark.parametrize("query", ["civil war", "a van", "hat", "how the plant could die"])
def test_words_that_another_language_drops_are_kept(store: Store, query: str) -> None:
    word = query.split()[-1]
    store.upsert([talk("a", ("Ana", f"There was one {word} outside."))])
    assert ids(find(store, query)) == ["a"]


def test_german_questions_drop_german_stop_words(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Die Präsentation ist fertig.")), talk("b", ("Ana", "Das ist die Katze."))])
    assert ids(find(store, "Wer hat die Präsentation gehalten?")) == ["a"]


def test_words_that_only_ask_count_less_than_those_that_describe(store: Store) -> None:
    store.upsert(
        [
            talk("asking", ("Ana", "Let us summarize the discussion and summarize opinions."), days_ago=1),
            talk("topic", ("Ana", "The turbine is too loud at night."), days_ago=2),
            *(talk(f"filler{n}", ("Ben", f"Nothing of note happened on walk {n}.")) for n in range(20)),
        ]
    )
    assert ids(find(store, "summarize the discussion about the turbine"))[0] == "topic"
    assert ids(find(store, "summarize discussion")) == ["asking"]


def test_neighbours_of_the_query_close_together_rank_higher(store: Store) -> None:
    apart = "The blue folder lies here. " + "Nothing else was said for a while. " * 5 + "A whale swam past."
    store.upsert([talk("apart", ("Ana", apart)), talk("close", ("Ana", apart[::-1] + " a blue whale"), days_ago=1)])
    store.upsert([talk(f"filler{n}", ("Ben", f"Nothing of note, walk {n}.")) for n in range(20)])
    assert ids(find(store, "blue whale")) == ["close", "apart"]


def test_a_quoted_phrase_lifts_what_holds_it_and_excludes_nothing(store: Store) -> None:
    store.upsert(
        [
            talk("phrase", ("Ana", "They left in slow motion, I think."), days_ago=1),
            talk("words", ("Ana", "The motion was slow, the vote was not."), ("Ana", "vote vote vote")),
            talk("vote", ("Ana", "The vote is on Friday.")),
            talk("neither", ("Ana", "Hello.")),
        ]
    )
    found = find(store, '"slow motion" vote')
    assert (ids(found), found.total, found.method) == (["phrase", "words", "vote"], 3, "ranked")
    assert found.phrases == (Phrase("slow motion", 1),)
    assert [match.hits[0].words for match in found.matches] == [
        ('"slow motion"',),
        ("slow", "motion", "vote"),
        ("vote",),
    ]
    both = find(store, '"vote is on" "slow motion" hello')
    assert ({*ids(both)[:2]}, {*ids(both)[2:]}) == ({"vote", "phrase"}, {"neither", "words"})


def test_of_nothing_but_phrases_the_others_follow_on_pages_of_their_own(store: Store) -> None:
    store.upsert(
        [
            talk("slow", ("Ana", "They left in slow motion, I think."), days_ago=1),
            talk("words", ("Ana", "The motion was slow, the vote was not.")),
            talk("both", ("Ana", "A slow motion."), ("Ana", "We take a vote now."), days_ago=2),
            talk("take", ("Ana", "We take a vote now."), days_ago=3),
            talk("one", ("Ana", "A slow day.")),
        ]
    )
    found = find(store, 'who said “slow motion” or "take a vote"?')
    assert (ids(found), found.close, found.total, found.loosely) == (["both", "take", "slow"], 3, 4, False)
    rest = find(store, 'who said “slow motion” or "take a vote"?', offset=found.next_offset or 0)
    assert (ids(rest), rest.loosely, rest.next_offset) == (["words"], True, None)
    emptied = find(store, '"slow motion"', start=NOON)
    assert (ids(emptied), emptied.close, emptied.method) == (["words", "one"], 0, "unquoted")
    assert (emptied.without, emptied.unfiltered) == ((("dates", 2),), 2)


def test_what_has_only_a_weak_word_follows_on_pages_of_its_own(store: Store) -> None:
    store.upsert([talk(f"weak{n:02}", ("Ana", "the budget again and again"), days_ago=n) for n in range(30)])
    store.upsert([talk(f"filler{n}", ("Ben", f"Nothing of note, walk {n}.")) for n in range(30)])
    store.upsert(
        [talk("good", ("Ana", "a turbine"), days_ago=40), talk("both", ("Ana", "a turbine budget"), days_ago=40)]
    )
    first = find(store, "turbine budget")
    assert (ids(first), first.close, first.total, first.loosely) == (["both", "good"], 2, 32, False)
    offset, seen = first.next_offset, ids(first)
    while offset is not None:
        page = find(store, "turbine budget", offset=offset)
        assert page.loosely
        seen, offset = seen + ids(page), page.next_offset
    assert sorted(seen) == sorted({*seen})
    assert len(seen) == 32
    assert find(store, "budget").close == 31


def test_words_that_nothing_searched_has_are_told(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "We sold the boats.")), talk("b", ("Ben", "A turbine."), days_ago=3)])
    found = find(store, "when did Ana sell the boat to Zanzibar")
    assert (found.unmatched, found.elsewhere) == (("sell", "zanzibar"), ())
    assert find(store, "did they discuss boats").unmatched == ()
    recent = find(store, "turbine boats", start=NOON)
    assert (ids(recent), recent.unmatched, recent.elsewhere) == (["a"], ("turbine",), ("turbine",))


def test_each_filter_that_empties_a_result_is_told_with_what_there_would_be_without_it(store: Store) -> None:
    store.upsert([talk(str(day), ("Ana", "a greenhouse"), days_ago=day, category="work") for day in range(3)])
    store.upsert([talk("other", ("Ben", "a greenhouse"), days_ago=9)])
    for text in ("greenhouse", ""):
        found = find(store, text, categories=("work",), end=NOON - timedelta(days=8))
        assert (found.total, found.without, found.unfiltered) == (0, (("dates", 3), ("categories", 1)), 4)
    found = find(store, "greenhouse", speakers=(("ben",),), starred=True, start=NOON)
    assert (found.without, found.unfiltered) == ((("dates", 0), ("starred", 0), ("speakers", 0)), 4)


def test_a_phrase_that_occurs_nowhere_is_read_as_its_words(store: Store) -> None:
    store.upsert([talk("words", ("Ana", "The motion was slow."))])
    found = find(store, '"slow motion"')
    assert (ids(found), found.method) == (["words"], "unquoted")


def test_an_unknown_word_stands_for_those_it_begins(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "We run Kubernetes.")), talk("b", ("Ana", "Happiness is a warm café."))])
    for query, name in (("kuber", "a"), ("happine", "b"), ("k", "a"), ("caf", "b")):
        found = find(store, query)
        assert (ids(found), found.method) == ([name], "prefix"), query
        assert found.matches[0].hits


def test_an_unknown_word_stands_for_those_spelled_alike_or_around_it(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "We run Kubernetes.")), talk("b", ("Ana", "Bring MongoDB back."))])
    for query, name in (("kubrnetes", "a"), ("Kubernettas", "a"), ("ongodb", "b")):
        found = find(store, query)
        assert (ids(found), found.method) == ([name], "trigram"), query
        assert found.matches[0].hits


def test_of_words_as_much_alike_the_one_that_is_said_often_was_meant(store: Store) -> None:
    store.upsert([talk(f"{number}", ("Ana", "the television is on")) for number in range(5)])
    store.upsert([talk("cut off", ("Ana", "it was on televis"))])
    assert set(ids(find(store, "televison"))) == {"0", "1", "2", "3", "4"}


OFTEN_SAID = ["budget", "contract", "holiday", "television", "calendar"]


@settings(max_examples=60)
@given(
    st.sampled_from(OFTEN_SAID), st.sampled_from("eqx"), st.integers(0, 9), st.sampled_from(["swap", "drop", "mistake"])
)
def test_one_slip_of_the_pen_is_read_as_the_word_that_is_often_said(word: str, letter: str, at: int, slip: str) -> None:
    """A letter missed or mistaken behind the first, or two neighbours that changed places, also the first two."""
    at %= len(word) - 1
    before, one, other, after = word[:at], word[at], word[at + 1], word[at + 2 :]
    typed = before + {"swap": other + one, "drop": one, "mistake": one + letter}[slip] + after
    assume(typed != word)
    with opened() as store:
        store.upsert([talk(f"{each} {number}", ("Ana", f"the {each}")) for each in OFTEN_SAID for number in range(3)])
        store.upsert([talk("rare", ("Ana", "bugs, contrary, holy, televise, budgie, telev"))])
        assert find(store, typed).replaced == (Replaced(typed, (word,)),)
        assume(slip != "mistake" or at < len(word) - 2)
        assert find(store, f"{typed} bugs").replaced == (Replaced(typed, (word,)),)


@pytest.mark.parametrize("query", ["boiler", "bled", "tagegeld", "kino"])
def test_beside_known_words_another_word_is_not_taken_for_a_slip_of_the_pen(store: Store, query: str) -> None:
    store.upsert([talk("a", ("Ana", "We boiled, it led, he tagged, be kind.")), talk("b", ("Ana", "Heating again."))])
    found = find(store, f"{query} heating")
    assert (ids(found), found.replaced) == (["b"], ())


@pytest.mark.parametrize("query", ["\u0301\u0302\u0303\u0304", "e\u0301\u0302\u0303\u0304\u0305", "🦦🦦🦦🦦"])
def test_words_of_marks_are_like_no_other(store: Store, query: str) -> None:
    store.upsert([talk("a", ("Ana", "Alpha and beta."))])
    assert find(store, query).replaced == ()


def test_a_misspelled_word_is_repaired_beside_known_ones(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Stolcke on recognition.")), talk("b", ("Ana", "Only recognition here."))])
    found = find(store, "what did Stolke say about recognition")
    assert (ids(found)[0], found.method) == ("a", "ranked")


@pytest.mark.parametrize("query", ["zyxwv", "q", "Ω"])
def test_nothing_alike_finds_nothing(store: Store, query: str) -> None:
    store.upsert([talk("a", ("Ana", "Alpha and beta."))])
    found = find(store, query)
    assert (found.matches, found.total, found.next_offset) == ((), 0, None)


@pytest.mark.parametrize(
    ("spoken", "queries"),
    [
        ("昨日は東京タワーに行きました。", ["東京タワー", "京", "東京タワーに行った"]),
        ("我们讨论了价格和合同。", ["价格", "讨论价格", "合同的价格是什么"]),
        ("วันนี้เราประชุมเรื่องราคา", ["ประชุม", "ราคา"]),
        ("오늘 회의에서 가격을 정했다", ["회의", "가격을"]),
        ("हमने आज किताब खरीदी", ["किताब"]),
        ("What a day 🎉👍🏽!", ["🎉", "🎉👍🏽"]),
        ("Встреча перенесена на среду", ["ВСТРЕЧА", "среду"]),
    ],
)
def test_scripts_without_spaces_and_emoji_are_found(store: Store, spoken: str, queries: list[str]) -> None:
    store.upsert([talk("a", ("Ana", spoken)), talk("b", ("Ana", "文 ก 가 other words"))])
    for query in queries:
        found = find(store, query)
        assert ids(found)[0] == "a", query
        assert found.matches[0].hits[0].segment == 0, query


def test_a_very_long_query_is_answered_by_its_long_words(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "The otorhinolaryngologist called."))])
    padding = " ".join(f"pad{n}" for n in range(400))
    assert ids(find(store, f"{padding} otorhinolaryngologist {padding}"[:10_000])) == ["a"]


def test_speakers_are_found_by_name(store: Store) -> None:
    store.upsert([talk("ana", ("Ana Ruiz", "Yes, tomorrow.")), talk("ben", ("Ben", "Yes, tomorrow."))])
    assert ids(find(store, "Ana tomorrow")) == ["ana", "ben"]


def test_days_in_a_query_draw_the_conversations_of_that_day(store: Store) -> None:
    lines = ("Ana", "We talked about the budget.")
    store.upsert([talk(str(days), lines, days_ago=days) for days in range(40)])
    assert ids(find(store, "budget on Tuesday 25 February"))[0] == "7"
    assert ids(find(store, "budget 2025-02-12"))[0] == "20"
    assert ids(find(store, "budget, February 25th 2025"))[0] == "7"
    assert {int(name) for name in ids(find(store, "budget in January"))[:6]} <= set(range(32, 40))


def test_without_text_the_newest_come_first(store: Store) -> None:
    store.upsert([talk(str(days), days_ago=days) for days in (2, 0, 1)])
    for text in ("", "  \n"):
        found = find(store, text, limit=2)
        assert (ids(found), found.total, found.method, found.next_offset) == (["0", "1"], 3, "listed", 2)


def test_a_match_says_who_speaks_most_and_how_many_segments_there_are(store: Store) -> None:
    store.upsert([talk("a", ("Ben", "Hm."), ("Ana", "A greenhouse, a real one."), ("Ben", "Ah."))])
    match = find(store, "greenhouse").matches[0]
    assert (match.speakers, match.segments) == (("Ana", "Ben"), 3)
    assert match.stored.conversation.transcript_segments is None


def test_filters_apply_before_ranking_and_together(store: Store) -> None:
    line = ("Ana Ruiz", "The greenhouse.")
    store.upsert(
        [
            talk("right", line, days_ago=5, category="work", folder="f"),
            talk("late", line, days_ago=1, category="work", folder="f"),
            talk("early", line, days_ago=9, category="work", folder="f"),
            talk("category", line, days_ago=5, category="family", folder="f"),
            talk("folder", line, days_ago=5, category="work"),
            talk("speaker", ("Ben", "The greenhouse."), days_ago=5, category="work", folder="f"),
            talk("unstarred", line, days_ago=5, category="work", folder="f"),
        ]
    )
    store.set_starred({"right", "late", "early", "category", "folder", "speaker"})
    chosen = {
        "start": NOON - timedelta(days=6),
        "end": NOON - timedelta(days=4),
        "categories": ("work", "travel"),
        "folder_id": "f",
        "starred": True,
        "speakers": (("ana",),),
    }
    for text in ("greenhouse", "", "greenhose"):
        found = find(store, text, **chosen)
        assert (ids(found), found.total) == (["right"], 1), text
    for name in chosen:
        wider = find(store, "greenhouse", **{key: value for key, value in chosen.items() if key != name})
        assert wider.total == 2, name


def test_the_bounds_of_a_time_range_are_inclusive(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "greenhouse"), days_ago=3)])
    instant = NOON - timedelta(days=3)
    assert find(store, "greenhouse", start=instant, end=instant).total == 1
    assert find(store, "greenhouse", start=instant + timedelta(microseconds=1)).total == 0
    assert find(store, "", end=instant - timedelta(microseconds=1)).total == 0


def test_not_starred_includes_those_not_known_to_be(store: Store) -> None:
    store.upsert([talk("a"), talk("b")])
    store.set_starred(["a"])
    store.upsert([talk("c")])
    assert sorted(ids(find(store, "", starred=False))) == ["b", "c"]


@pytest.mark.parametrize("speaker", ["zoë", "ZOE", "Müller", "zoe müller", "anna zoe"])
def test_a_speaker_is_named_whole_or_by_a_word(store: Store, speaker: str) -> None:
    store.upsert([talk("a", ("Anna Zoë Müller", "Hello.")), talk("b", ("Zoey", "Hello."))])
    assert ids(find(store, "", speakers=((speaker,),))) == ["a"]


def test_a_speaker_that_left_a_transcript_is_not_in_it(store: Store) -> None:
    store.upsert([talk("a", ("Ana", "Hello."))])
    store.upsert([talk("a", ("Ben", "Hello."))])
    assert find(store, "", speakers=(("ana",),)).total == 0
    assert find(store, "", speakers=(("nobody",),)).total == 0


SAID = st.lists(st.sampled_from(["ferry", "pier", "train", "harbour"]), max_size=4, unique=True)
LINES = st.lists(st.tuples(st.sampled_from(["Ana", "Ben", "Carla"]), SAID.map(" ".join)), max_size=6)


@settings(max_examples=60)
@given(st.lists(LINES, max_size=6), SAID.filter(bool), st.sets(st.sampled_from(["ana", "ben"]), min_size=1))
def test_with_speakers_just_what_they_say_is_found_and_shown(
    talks: list[list[tuple[str, str]]], query: list[str], names: set[str]
) -> None:
    with opened() as store:
        store.upsert([talk(str(number), *lines) for number, lines in enumerate(talks)])
        found = find(store, " ".join(query), speakers=tuple((name,) for name in names))
    right = {
        str(number)
        for number, lines in enumerate(talks)
        if names <= {speaker.lower() for speaker, _ in lines}
        and any({*query} & {*text.split()} for speaker, text in lines if speaker.lower() in names)
    }
    assert (set(ids(found)), found.total) == (right, len(right))
    assert all(match.hits for match in found.matches)
    assert {hit.speaker.lower() for match in found.matches for hit in match.hits if hit.speaker} <= names


@pytest.mark.parametrize(("query", "shown"), [('"night train"', ["whole"]), ("night train", ["whole", "split"])])
def test_a_phrase_of_a_speaker_is_theirs_as_a_whole(store: Store, query: str, shown: list[str]) -> None:
    store.upsert(
        [
            talk("split", ("Ana", "Good night."), ("Ben", "The night train."), ("Ana", "Train again.")),
            talk("whole", ("Ana", "The night train.")),
        ]
    )
    assert ids(find(store, query, speakers=(("ana",),))) == shown


def test_pages_follow_each_other_and_end(store: Store) -> None:
    store.upsert([talk(f"{number:02}", ("Ana", "greenhouse " * (number % 3 + 1))) for number in range(25)])
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = find(store, "greenhouse", limit=7, offset=offset)
        assert page.total == 25
        seen += ids(page)
        offset = page.next_offset
    assert len(seen) == len(set(seen)) == 25
    assert ids(find(store, "greenhouse", limit=7, offset=25)) == []


def test_equal_scores_are_ordered_newest_first_then_by_id(store: Store) -> None:
    store.upsert([talk("b", ("Ana", "greenhouse")), talk("a", ("Ana", "greenhouse"))])
    store.upsert([talk("old", ("Ana", "greenhouse"), days_ago=0.5)])
    assert ids(find(store, "greenhouse")) == ["a", "b", "old"]


@pytest.mark.parametrize("offset", range(0, 12, 3))
def test_what_is_not_ranked_follows_by_date(store: Store, monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    monkeypatch.setattr(ranking, "MOST_ENTRIES", 4)
    store.upsert([talk(f"{days:02}", ("Ana", "greenhouse " * (1 + (days > 7))), days_ago=days) for days in range(12)])
    everything = ids(find(store, "greenhouse", limit=50))
    assert set(everything[:4]) == {"08", "09", "10", "11"}
    assert everything[4:] == [f"{days:02}" for days in range(8)]
    page = find(store, "greenhouse", limit=3, offset=offset)
    assert (ids(page), page.total) == (everything[offset : offset + 3], 12)
    assert all(match.hits for match in page.matches)


def test_too_frequent_words_only_support_rare_ones(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MOST_POSTINGS", 10)
    store.upsert([talk(str(number), ("Ana", "the weather again")) for number in range(30)])
    store.upsert([talk("rare", ("Ana", "a turbine")), talk("both", ("Ana", "a turbine in such weather"), days_ago=1)])
    found = find(store, "turbine weather")
    assert (ids(found), found.total) == (["both", "rare"], 2)
    assert find(store, "weather").total == 31
    assert find(store, "turbine weather", end=NOON, start=NOON, speakers=(("ana",),)).total >= 1


def test_a_frequent_word_is_searched_where_the_rare_ones_are_filtered_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "MOST_POSTINGS", 10)
    store.upsert([talk(str(number), ("Ana", "the weather again")) for number in range(30)])
    store.upsert([talk("rare", ("Ana", "a turbine"), days_ago=5)])
    assert find(store, "turbine weather", start=NOON).total == 30


def test_a_phrase_of_too_frequent_words_lifts_and_is_not_ranked_by(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "MOST_POSTINGS", 10)
    store.upsert([talk(f"{days:02}", ("Ana", "fine weather " * (1 + days)), days_ago=days) for days in range(20)])
    store.upsert([talk("apart", ("Ana", "weather and a fine turbine")), talk("rare", ("Ana", "turbine. fine weather"))])
    found = find(store, '"fine weather"', limit=3)
    assert (ids(found), found.close, found.method) == (["00", "rare", "01"], 21, "ranked")
    assert [match.hits[0].text for match in found.matches][1] == "turbine. fine weather"
    found = find(store, '"fine weather" turbine')
    assert (ids(found)[:2], found.phrases) == (["rare", "apart"], (Phrase("fine weather", 21),))
    day = {"start": NOON - timedelta(hours=36), "end": NOON - timedelta(hours=12)}
    assert ids(find(store, '"fine weather" turbine', **day)) == ["01"]


WORDS = st.sampled_from(["alpha", "beta", "gamma", "delta", "the", "文字", "épée", "beta's", '"alpha beta"'])
LINES = st.lists(st.tuples(st.sampled_from(["Ana", "Ben"]), st.lists(WORDS, max_size=6).map(" ".join)), max_size=4)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(LINES, st.integers(0, 5), st.sampled_from(["work", "other"])), max_size=8),
    st.text(st.characters(codec=None), max_size=30) | st.lists(WORDS, max_size=4).map(" ".join),
    st.integers(1, 4),
    st.booleans(),
)
def test_any_query_pages_through_its_total_within_its_filters(
    talks: list[tuple[list[tuple[str, str]], int, str]], text: str, limit: int, filtered: bool
) -> None:
    with opened() as store:
        store.upsert(
            [
                talk(str(number), *lines, days_ago=days, category=category)
                for number, (lines, days, category) in enumerate(talks)
            ]
        )
        chosen = (
            {"start": NOON - timedelta(days=3), "categories": ("work",), "speakers": (("ana",),)} if filtered else {}
        )
        allowed = {
            str(number)
            for number, (lines, days, category) in enumerate(talks)
            if not filtered or (days <= 3 and category == "work" and any(speaker == "Ana" for speaker, _ in lines))
        }
        seen: list[str] = []
        offset: int | None = 0
        while offset is not None:
            page = find(store, text, limit=limit, offset=offset, **chosen)
            seen += ids(page)
            offset = page.next_offset
        assert len(seen) == len(set(seen)) == page.total
        assert set(seen) <= allowed
        if not text.strip():
            assert set(seen) == allowed


@settings(max_examples=60)
@given(
    st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12),
    st.lists(WORDS, min_size=1, max_size=4).map(" ".join),
    st.integers(1, 3),
)
def test_where_little_can_be_ranked_pages_lose_nothing_and_phrases_come_first(
    said: list[str], query: str, limit: int
) -> None:
    with opened() as store, pytest.MonkeyPatch.context() as monkeypatch:
        for module, name, value in (
            (ranking, "MOST_ENTRIES", 3),
            (ranking, "LOOKED_INTO", 2),
            (tiers, "SCARCE", 0),
            (tiers, "ONE_BY_ONE", 1),
        ):
            monkeypatch.setattr(module, name, value)
        store.upsert([talk(str(number), ("Ana", text), days_ago=number) for number, text in enumerate(said)])
        seen: list[str] = []
        loosely = []
        offset: int | None = 0
        while offset is not None:
            page = find(store, query, limit=limit, offset=offset)
            seen += ids(page)
            loosely += [page.loosely] * len(page.matches)
            offset = page.next_offset
        assert len(seen) == len(set(seen)) == page.total
        assert loosely == [False] * page.close + [True] * (page.total - page.close)
        if '"' in query:
            holds = ["alpha beta" in said[int(name)].replace('"', "") for name in seen]
            assert holds == sorted(holds, reverse=True)
            assert sum(holds) == page.phrases[0].conversations


@settings(max_examples=40)
@given(
    st.lists(st.lists(WORDS | st.sampled_from(["alphas", "Don't", "said"]), max_size=12).map(" ".join), max_size=8),
    st.lists(WORDS | st.sampled_from(["said", "said it"]), min_size=1, max_size=5).map(" ".join),
)
def test_words_are_found_in_the_same_places_in_the_index_and_in_the_texts(said: list[str], query: str) -> None:
    with opened() as store, pytest.MonkeyPatch.context() as monkeypatch:
        store.upsert([talk(str(number), ("Ana", text), title=text[:9]) for number, text in enumerate(said)])
        monkeypatch.setattr(ranking, "CHEAPER_POSTINGS", 1_000)
        by_index = find(store, query)
        monkeypatch.setattr(ranking, "CHEAPER_POSTINGS", -1)
        assert find(store, query) == by_index


def test_what_fts5_counts_for_itself_is_read_as_it_is(store: Store) -> None:
    store.upsert([talk(str(number), ("Ana", "said " * (number + 90)), transcript=number < 90) for number in range(200)])
    with store.database.reading() as connection:
        (entries,) = connection.execute("select count(*) from entries_docsize").fetchone()
        assert fts.size(connection) == entries == 290
        texts = dict(fts.texts(connection, range(1 << 20)))
        spoken = fts.lengths(connection, texts)
        assert spoken == {entry: len(text.replace(":", " ").split()) for entry, text in texts.items()}


VOCABULARY = ["alpha", "beta", "gamma", "delta", "epsilon", "文", "naïve"]
SPOKEN = st.lists(st.sampled_from(VOCABULARY), max_size=5).map(" ".join)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["say", "write", "both", "hide", "show", "remove", "lock"]),
            st.sampled_from(["a", "b", "c"]),
            SPOKEN,
            SPOKEN,
        ),
        max_size=14,
    )
)
def test_the_index_has_exactly_the_words_of_what_is_visible(steps: list[tuple[str, str, str, str]]) -> None:
    """After any changes, each word finds the conversations that have it and are not hidden."""
    said: dict[str, str] = {}
    written: dict[str, str] = {}
    hidden: set[str] = set()
    with opened() as store:
        for step, name, spoken, title in steps:
            if step in ("say", "write", "both"):
                lines = [("X", spoken)] if step != "write" else []
                items = [title] if len(title) % 2 else []
                store.upsert([talk(name, *lines, title=title, items=items, transcript=step != "write")])
                written[name] = title
                said[name] = said.get(name, "") if step == "write" else spoken
                hidden.discard(name)
            elif step in ("hide", "show"):
                store.set_hidden(name, step == "hide")
                hidden = hidden | {name} if step == "hide" else hidden - {name}
            elif step == "remove":
                store.remove([name])
                said.pop(name, None)
                written.pop(name, None)
                hidden.discard(name)
            else:
                store.set_transcript_state([name], "locked")
                said[name] = ""
        for word in VOCABULARY:
            having = {name for name, title in written.items() if word in f"{title} {said.get(name, '')}".split()}
            found = find(store, word)
            assert set(ids(found)) == having - hidden or found.method != "ranked", word
