"""The character n-grams of words, hashed into buckets as fastText does. Owns the hash; knows no vectors."""

from typing import Final

SHORTEST: Final = 3  # characters, with the marks of a word's beginning and end; fastText's own range
LONGEST: Final = 6

FNV_OFFSET: Final = 2166136261
FNV_PRIME: Final = 16777619


def ngram_buckets(word: str, buckets: int) -> list[int]:
    """Return the bucket of each character n-gram of `<word>`, from left to right, the shorter first.

    The hash is FNV-1a with 32 bits over UTF-8 in which bytes from 128 on count as negative, as in fastText.

    Source: Bojanowski et al. 2017, Enriching Word Vectors with Subword Information, section 3.2; `Dictionary::hash`
    and `Dictionary::computeSubwords` of fastText.
    """
    characters = [
        [byte if byte < 128 else byte | 0xFFFFFF00 for byte in character.encode()] for character in f"<{word}>"
    ]
    found = []
    for start in range(len(characters)):
        state = FNV_OFFSET
        for length, character in enumerate(characters[start : start + LONGEST], start=1):
            for byte in character:
                state = ((state ^ byte) * FNV_PRIME) & 0xFFFFFFFF
            if length >= SHORTEST:
                found.append(state % buckets)
    return found
