"""What counts as blank, although it may have characters."""

import unicodedata

# Separators, control and format characters.
_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
# Letters and marks that show nothing by themselves: the grapheme joiner, fillers of
# Hangul, inherent vowels of Khmer, selectors of variants, and Braille without a dot.
_SHOW_NOTHING = frozenset(
    map(
        chr,
        (
            0x034F,
            *(0x115F, 0x1160, 0x3164, 0xFFA0),
            *(0x17B4, 0x17B5),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
            0x2800,
        ),
    )
)


def is_blank(text: str) -> bool:
    """Whether a reader sees nothing of the text."""
    return all(
        unicodedata.category(character) in _INVISIBLE or character in _SHOW_NOTHING
        for character in text
    )
