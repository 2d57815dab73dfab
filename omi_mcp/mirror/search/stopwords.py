"""Words that do not tell conversations apart. They are left out of queries or count less, never out of the index."""

from collections.abc import Collection

_LISTS = {
    "en": """
        a about after again all also am an and any are aren as at be because been before being both but by can cannot
        could couldn d did didn do does doesn doing don done down during each else ever every few for from further get
        gets got had hadn has hasn have haven having he her here hers herself him himself his how i if in into is isn
        it its itself just let ll m many me might mine more most much must my myself no nor not now of off on once
        only or other our ours ourselves out over own please re s same shall she should shouldn so some such t than
        that the their theirs them themselves then there these they this those through to too under until up upon us
        ve very was wasn we were weren what when where which while who whom whose why will with won would wouldn you
        your yours yourself yourselves
    """,
    "de": """
        aber alle allem allen aller alles als also am an auch auf aus bei beim bin bis da damit dann das dass dazu dein
        deine dem den denn der des dessen dich die dir doch dort du durch ein eine einem einen einer eines er es euch
        euer eure für gewesen hab habe haben hast hat hatte hatten ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in
        ins ist ja jede jedem jeden jeder jedes kann kein keine keinem keinen keiner können könnte man mein meine
        meinem meinen meiner mich mir mit möchte nach nicht noch nur ob oder ohne sehr sein seine seinem seinen seiner
        seit sich sie sind so soll sollte sondern um und uns unser unsere unter vom von vor wann war waren warum was
        weil welche welchem welchen welcher welches wem wen wenn wer werde werden wie wieder will wir wird wo wurde
        wurden würde über zu zum zur zwischen
    """,
    "fr": """
        a ai as au aux avec avez avons ce ces cet cette comment d dans de des dont du elle elles en est et eu eux il
        ils j je l la le les leur leurs lui m ma mais me mes moi mon n ne nos notre nous on ont ou où par pas pour
        pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se ses son sont sur ta te tes toi ton tu un
        une vos votre vous y à ça été être
    """,
    "es": """
        a al algo como con cual cuando cuándo cuál de del donde dónde e el ella ellos en entre era es esa ese eso esta
        este esto está están fue ha han hay he la las le les lo los me mi mis muy más nada ni no nos o para pero por
        porque que quien quién qué se si sin sobre son su sus sí también te tu tus un una uno unos y ya yo él
    """,
    "it": """
        a ai al alla alle anche che chi ci come con cosa cui da dal dalla dei del della delle di dove e ed era gli ha
        hai hanno ho i il in io l la le lei lo loro lui ma mi mia mio ne nei nel nella noi non o per perché più quale
        quando quello questa questo se si sono su sua sul sulla suo ti tra tu un una uno voi è
    """,
    "pt": """
        a ao aos as com como da das de do dos e ela ele eles em entre era essa esse esta este eu foi isso isto já lhe
        mais mas me meu minha muito na nas nem no nos não nós o os ou para pela pelo por porque quais qual quando que
        quem se sem ser seu sua são também te tem teu um uma você vocês à é
    """,
    "nl": """
        aan al als bij dan dat de deze die dit door dus een en er had heb hebben heeft hem het hij hoe hun ik in is je
        jij kan maar me met mijn naar niet nog nu of om onder ons ook op over te tot u uit van voor waar waren was wat
        we wel werd wie wij zal ze zich zij zijn zo
    """,
}
DECIDING_WORDS = frozenset(
    word
    for line in (
        "agree agreed agreement agreements agrees conclude concluded concludes conclusion conclusions decide decided",
        "decides deciding decision decisions settle settled settles",
    )
    for word in line.split()
)
"""Words that ask what became of a matter. Whoever tells it rarely uses the same one."""

DECISIONS = ("decide", "decision", "settle")
"""What stands in for any of `DECIDING_WORDS`: their stems differ."""

ASKING_WORDS = DECIDING_WORDS | frozenset(
    word
    for line in (
        "according ask asked conversation conversations describe describes discuss discussed discusses discussing",
        "discussion discussions explain explained meeting meetings mention mentioned mentions opinion opinions said",
        "say says speak spoke spoken summaries summarise summarize summary talk talked talking talks tell think thinks",
        "thought thoughts told view views",
        "besprechen besprochen diskutiert erzählt gesagt gespräch gesprochen meinung meint sagt sagte zusammenfassung",
    )
    for word in line.split()
)
"""Words that ask about any conversation rather than describe one."""

_STOP_WORDS = {language: frozenset(text.split()) for language, text in _LISTS.items()}


def stop_words(words: Collection[str]) -> frozenset[str]:
    """The stop words of the language `words` seem to be in.

    English unless another has more and at least two, so that "civil war" and "the van" keep their nouns.
    """
    counts = {language: sum(word in listed for word in words) for language, listed in _STOP_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return _STOP_WORDS[best if counts[best] >= 2 else "en"]
