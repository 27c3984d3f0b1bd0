"""The little English grammar that the embedded sample needs: plurals, verb forms, articles, capitals.

Owns the forms of a phrase; knows no vocabulary. Good for the words of the sample, not for any.
"""

import re

# Verbs whose last letter is doubled before -ing.
_DOUBLED = {
    *("cut", "fulfil", "get", "kidnap", "outrun", "outwit", "plan", "put", "repel", "reprogram", "rob", "run"),
    *("star", "stop", "travel", "unravel", "win"),
}
_IRREGULAR_PLURALS = {"child": "children", "wife": "wives"}
_TAKES_AN = re.compile(r"(?!uniform|unit|ouija)[aeiou]|heir|hon|FBI", re.IGNORECASE)
_SMALL_WORDS = {"a", "an", "and", "at", "for", "from", "in", "of", "on", "the", "to", "with"}


def plural(noun: str) -> str:
    """Return the plural of an English noun phrase.

    >>> plural("prisoner of war"), plural("best man"), plural("witch"), plural("spy"), plural("little boy")
    ('prisoners of war', 'best men', 'witches', 'spies', 'little boys')
    """
    head, of, rest = noun.partition(" of ")
    before, space, last = head.rpartition(" ")
    if last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    elif last.endswith("man") or last in _IRREGULAR_PLURALS:
        last = _IRREGULAR_PLURALS.get(last) or last[:-3] + "men"
    else:
        last += "es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s"
    return before + space + last + of + rest


def third_person(phrase: str) -> str:
    """Return a verb phrase in the third person singular.

    >>> third_person("rob a bank"), third_person("marry for money"), third_person("search for love")
    ('robs a bank', 'marries for money', 'searches for love')
    """
    verb, space, rest = phrase.partition(" ")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies" + space + rest
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "go")) else "s") + space + rest


def gerund(phrase: str) -> str:
    """Return a verb phrase as a gerund.

    >>> gerund("rob a bank"), gerund("make a friend"), gerund("free the hostages"), gerund("see Paris")
    ('robbing a bank', 'making a friend', 'freeing the hostages', 'seeing Paris')
    """
    verb, space, rest = phrase.partition(" ")
    if verb in _DOUBLED:
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return verb + "ing" + space + rest


def with_article(article: str, noun: str) -> str:
    """Return the article, `a ` or `A `, as a noun phrase wants it; what is heard decides, not the letter.

    >>> with_article("a ", "boat"), with_article("A ", "old boat"), with_article("a ", "honest man")
    ('a ', 'An ', 'an ')
    """
    return article.replace(" ", "n ") if _TAKES_AN.match(noun) else article


def capitalise_first(phrase: str) -> str:
    """Return a phrase as it begins a sentence.

    >>> capitalise_first("at the end")
    'At the end'
    """
    return phrase[0].upper() + phrase[1:]


def capitalise_all(phrase: str) -> str:
    """Return a phrase as it stands in a title.

    >>> capitalise_all("a letter from the FBI")
    'A Letter from the FBI'
    """
    first, *others = phrase.split()
    return " ".join(
        [capitalise_first(first), *(word if word in _SMALL_WORDS else capitalise_first(word) for word in others)]
    )
