"""What is said besides: everyday stories, small talk and the reports of stand-ups. Nothing here answers a task."""

from dataclasses import dataclass

WORDS: dict[str, tuple[object, ...]] = {
    "n": tuple(range(3, 48)),
    "small": tuple(range(2, 9)),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "food": ("lentils", "pancakes", "leek soup", "dumplings", "rice pudding", "pasta", "cabbage rolls", "fried rice"),
    "street": ("Elbchaussee", "Bahrenfelder Straße", "Max-Brauer-Allee", "Stresemannstraße", "Große Bergstraße"),
    "animal": ("cat", "heron", "squirrel", "crow", "neighbour's rabbit", "hedgehog"),
    "thing": ("umbrella", "scarf", "bicycle pump", "library card", "lunch box", "left glove", "blue thermos"),
    "plant": ("basil", "lemon tree", "ivy", "tomato seedlings", "orchid"),
    "weather": (
        "It's been raining since breakfast",
        "What a sun today",
        "That wind",
        "Fog like soup again",
        "It's snowing",
    ),
    "bus": ("the 15", "the S1", "the 20", "the ferry 62", "the night bus"),
    "city": ("Bremen", "Kiel", "Flensburg", "Lüneburg", "Rostock"),
}


@dataclass(frozen=True)
class Story:
    title: str
    overview: str
    said: str


EVERYDAY = (
    Story(
        "A Lost Thing",
        "{who} looks for something lost, and it turns up.",
        """
        B: I've lost my <thing>. I've been to [the lost property office|all three cafés] already.
        A: Where did you have it last?
        B: In <bus>, I think, near <street>.
        A: [Did you look in the coat you never wear?|Ring them, they're nice.]
        B: You're a witch. It was in the [coat|bag|fridge].
        """,
    ),
    Story(
        "The Drum Upstairs",
        "{who} complains about noise in the house.",
        """
        B: The boy upstairs has got a drum. A whole one, with cymbals.
        A: [At what time?|How old is he?]
        B: At seven, before school. I counted <n> bangs and then I stopped.
        A: Offer him [biscuits|money|a guitar].
        B: I've offered him football. He plays that inside as well.
        """,
    ),
    Story(
        "Plants",
        "{who} asks for advice about plants.",
        """
        B: My <plant> has given up. It's all yellow at the bottom.
        A: Too much water. Everybody drowns theirs.
        B: I give it <small> glasses a week, I count.
        A: One. And [turn it|talk to it|leave it alone].
        B: I'll talk to it about the water.
        """,
    ),
    Story(
        "Trouble with the Trains",
        "{who} tells of a journey with delays.",
        """
        B: <n> minutes in a field before <city>, and nobody said a word.
        A: Was there [heating|coffee|light], at least?
        B: There was a man with an accordion.
        A: So it was a concert.
        B: It was a hostage situation with an accordion.
        """,
    ),
    Story(
        "A Run by the River",
        "{who} and Maya talk about running and getting older.",
        """
        B: I ran <small> kilometres on <day>. Without stopping.
        A: [I'm impressed.|In those shoes?]
        B: I stopped afterwards. For two days.
        A: You have to eat before. [A banana|Bread], something dull.
        B: Dull I can do.
        """,
    ),
    Story(
        "An Animal",
        "{who} has a visitor on the balcony.",
        """
        B: There's a <animal> on my balcony. It looks at me as if I were late.
        A: What does it want?
        B: I've put out <food>. It was offended.
        A: [Close the door slowly.|Give it a name and it's yours.]
        B: It's called Herr Direktor now.
        """,
    ),
    Story(
        "Moving Furniture",
        "{who} needs help with carrying.",
        """
        B: Could you lend me two arms on <day>? It's a cupboard.
        A: Which floor?
        B: The [third|fourth]. It's a small cupboard with big plans.
        A: I'll bring the straps. And you make <food>.
        B: That's a contract.
        """,
    ),
    Story(
        "A Course",
        "{who} has begun a course and tells of it.",
        """
        B: I've begun [pottery|Italian|fencing|sign language]. On <day>s.
        A: And?
        B: There are <n> of us and one who can do it.
        A: That's always the teacher.
        B: No, the teacher's the one who's late.
        """,
    ),
    Story(
        "The Computer",
        "{who}'s computer does not do what it should.",
        """
        B: My computer says it has to restart, since <day>.
        A: Then let it.
        B: I've got <n> windows open. They're my memory.
        A: Write down [three|five] and let the others go.
        B: You sound like my doctor.
        """,
    ),
    Story(
        "Dinner Plans",
        "{who} and Maya try to find an evening to eat together.",
        """
        B: When do you have time for <food>?
        A: <day>, after eight. Or the week after next.
        B: I'm in <city> then.
        A: Then let's say Sunday at noon, like old people.
        B: Noon's fine. I'll be awake by then.
        """,
    ),
    Story(
        "School Things",
        "{who} and Maya talk about children and school.",
        """
        B: Did you get the note about the <thing>s? Every child needs one by <day>.
        A: I found it in the [bread tin|laundry], yes.
        B: And somebody has to bake for <n> children.
        A: I can do <food>. That isn't cake, but nobody can say it isn't food.
        B: Put a flag in it and it's cake.
        """,
    ),
    Story(
        "The Neighbourhood",
        "{who} has news from the street.",
        """
        B: They've dug up <street> again. Same hole, other side.
        A: What are they looking for?
        B: Last year's pipe. There are <n> people standing round it.
        A: [I'll take the other way.|Is the baker open?]
        B: The baker's happy. He sells to the hole.
        """,
    ),
)

SMALL_TALK = (
    "B: <weather>.\nA: [I noticed, on the bike.|Don't tell me, I've hung out the washing.]",
    "B: Have you eaten?\nA: [Half a roll.|Not since seven.] [Elias made|There was] <food>.",
    "A: How was your weekend?\nB: Too short. I was in <city> and saw mostly the car park.",
    "B: Wait, my phone. No, it's nothing. It's a survey about yoghurt.\nA: Tell them I like it.",
    "A: Can you hear me? You sound like a submarine.\nB: Better now? I've gone to the window.\nA: Better.",
    "B: <bus> was full again. I stood on somebody's cello.\nA: Did it make a sound?\nB: The owner did.",
    "A: I slept <small> hours. Alma had a dream about a lift.\nB: Up or down?\nA: Sideways.",
    "B: Do you know where one can buy a <thing> these days?\nA: On <street>, next to the key shop.",
    "A: Sorry, I have to open the window. Go on.\nB: I've lost my thread. Never mind.",
    "B: I've started getting up at six.\nA: Why?\nB: I don't know. Nobody's there.",
    "A: Did you see the moon yesterday?\nB: I saw a lamp and was very moved.",
    "B: My back again. I lifted <n> kilos of nothing.\nA: Lie on the floor. Ten minutes.",
    "A: Somebody has parked in front of our door again.\nB: White van?\nA: It's always a white van.",
    "B: Are you cold? I'm cold.\nA: Take my scarf, I've got the tea.",
    "A: I had <n> unread messages this morning. I read four.\nB: Which four?\nA: The short ones.",
    "B: The <animal> was on the roof again.\nA: It pays no rent.",
    "A: I'm trying to drink less coffee.\nB: How's that going?\nA: This is my third.",
    "B: There's a new baker on <street>. The rolls are the size of a fist.\nA: Whose fist?",
    "A: Alma wants to know why the sea isn't full.\nB: What did you say?\nA: Ask your father.",
    "B: I forgot my <thing> at your place, I think.\nA: It's hanging by the door, it looks at home.",
    "A: Elias is building a shelf.\nB: Is it level?\nA: It has character.",
    "B: <day>s are the worst, don't you find?\nA: Only the mornings. And the afternoons.",
    "A: Have you still got my ladder?\nB: It's been to <city>. It's back.",
    "B: My sister-in-law sent <small> jars of jam.\nA: Which kind?\nB: It doesn't say. Red.",
    "A: Do you want some <food>? There's too much.\nB: There's never too much. Yes.",
    "B: I read that people blink less when they lie.\nA: Then I'm very honest today, it's the wind.",
    "A: My bike made a noise all the way down <street>.\nB: A bad one?\nA: A thoughtful one.",
    "B: I've got <n> steps already, says my telephone.\nA: Mine counts when I stir.",
    "A: Is that your stomach?\nB: That was the chair.",
    "B: They've changed the timetable of <bus>.\nA: Again? I'd just learned it.",
    "A: I dreamt that I missed the ferry.\nB: Which ferry?\nA: That's what I asked in the dream.",
    "B: The lift's broken, I walked.\nA: How many floors?\nB: All of them.",
    "A: Let me just write that down. No, I've no pen. I'll remember.\nB: You won't.",
    "B: Did you hear the thunder?\nA: I thought that was upstairs.",
    "A: We have mice in the hall.\nB: How many?\nA: They won't stand still.",
    "B: I've painted the kitchen.\nA: Which colour?\nB: It was called Quiet Morning. It's green.",
    "A: I need new shoes.\nB: You say that every spring.\nA: And every spring it's true.",
    "B: What time is it?\nA: Later than I thought.",
    "A: Have you got a minute more, or do you have to go?\nB: I've got <small>.",
    "B: My nephew wants to be a bridge.\nA: To build one?\nB: No. To be one.",
)

STAND_UP: dict[str, tuple[str, ...]] = {
    "Ines": (
        "The hotline had <n> calls this week, mostly about the app.",
        "I've got <small> new leads from <city>, and one of them even has bikes.",
        "I'm writing the newsletter. If anybody has a photo without a thumb in it, send it to me.",
        "The florist wants a cover in green. I've said we do one colour.",
        "I was at the parcel people in <city>. They like it, and they'll tell us after the holidays.",
        "I'm redoing the price sheet, nothing changes but the spelling.",
        "Two customers asked for a trailer. I wrote it on the list of wishes, that's number <n>.",
    ),
    "Jonas": (
        "The bench ran <n> hours without a fault, then somebody tripped over the cable. It was me.",
        "I've changed the sensor on pack <n>. It thought it was in the desert.",
        "Board revision <small> is at the assembler. Ten days.",
        "I'm measuring self-discharge in the cold room, so please don't keep lunch in it.",
        "The charger whistles. I've found the coil, I'll glue it.",
        "The connector on pack <n> was warm. Not hot. Warm. I'm watching it.",
        "I've written the test down, so that it isn't only in my head.",
    ),
    "Tomasz": (
        "<n> housings came, <small> of them with scratches. I've sent photos.",
        "The van's back from inspection, with new opinions about the brakes.",
        "I'm clearing the shelf. Whoever owns <small> left gloves, speak now.",
        "Pallets go out on <day>. I need the labels the evening before.",
        "The screws are late again, they say <day>.",
        "I've counted the stock twice and got <n> and <n>. I'll count again.",
        "The insurer came and looked at the courtyard. He liked the sand buckets.",
    ),
}
