"""Texts as hypothesis writes them, for Kubernetes' own code and for ours to read: good and bad."""

from __future__ import annotations

from hypothesis import strategies as st

_SPACE = st.sampled_from(("", "", "", "", " ", "\t", "\r\n", "\x0b", "\u00a0", "\u2003", "\x1c"))
_WHOLE = st.one_of(st.integers(0, 10**4), st.integers(0, 10**24)).map(str)
_DIGITS = st.one_of(st.text("0123456789", max_size=4), st.text("0123456789", max_size=24))
_UNITS = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "K", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXPONENT = st.builds("{}{}".format, st.sampled_from("eE"), st.integers(-40, 40))
_SPELT = st.builds(
    "{}{}{}{}{}{}{}".format,
    _SPACE,
    st.sampled_from(("", "", "+", "-")),
    _DIGITS,
    st.sampled_from(("", "", ".")),
    _DIGITS,
    st.one_of(st.sampled_from(_UNITS), _EXPONENT),
    _SPACE,
)
# Short, since Go's own arithmetic hangs on an exponent of many digits.
_SOUP = st.text("0123456789.+-eEinumkKMGTP \t_x\u0663\u00a0\x1c", max_size=8)
_PLAIN = st.builds("{}{}".format, _WHOLE, st.one_of(st.sampled_from(_UNITS), _EXPONENT))
_FRACTION = st.builds("{}.{}{}".format, _WHOLE, _WHOLE, st.sampled_from(_UNITS))
QUANTITY = st.one_of(_PLAIN, _FRACTION, _SPELT, _SOUP)

_LONG = "x" * 63
_KEY = st.sampled_from(
    ("a", "b", "in", "notin", "A.b_c-1", "x.io/a", "x.io/in", _LONG, f"{'d' * 253}/a")
    + ("", "-a", "a-", "x.IO/a", "/a", "x.io/", "a/b/c", "x..io/a", f"{_LONG}x", f"{'d' * 254}/a")
)
_GOOD_KEY = st.sampled_from(("a", "b", "in", "notin", "x.io/a"))
_NUMBERS = ("0", "7", "007", "-7", "+7", "9223372036854775807", "9223372036854775808", "0" * 30)
_VALUE = st.sampled_from(
    ("v", "w", "", "in", "notin", "V.1_2-3", "7", "8", *_NUMBERS, _LONG)
    + ("-v", "v-", "v w", "v/w", "7_0", "\u0667", f"{_LONG}x")
)
_GOOD_VALUE = st.sampled_from(("v", "w", "", "in", "notin", "7", "10", "007", *_NUMBERS[-2:]))
_GAP = st.sampled_from(("", "", "", " ", "\t", " \n", "\r"))
_SPECIAL = st.sampled_from(("=", "==", "!=", ">", "<", "!", "(", ")", ",", " in ", " notin ", " "))
_STRANGE = st.sampled_from(("\x0b", "\x0c", "\u00a0", "\x1c", "\x00", "\x7f", "é", "\u2028"))


def _term(key: st.SearchStrategy[str], value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    compared = st.sampled_from(("=", "==", "!=", ">", "<"))
    values = st.lists(value, max_size=3).map(",".join)
    return st.one_of(
        st.builds("{0}{1}{0}{2}{0}{3}{0}".format, _GAP, key, compared, value),
        st.builds(
            "{0}{1} {2}{0}({3}{0}){0}".format, _GAP, key, st.sampled_from(("in", "notin")), values
        ),
        st.builds("{}!{}{}".format, _GAP, _GAP, key),
        st.builds("{}{}".format, _GAP, key),
    )


_GOOD = st.lists(_term(_GOOD_KEY, _GOOD_VALUE), min_size=1, max_size=2).map(",".join)
_ANY = st.lists(_term(_KEY, _VALUE), max_size=2).map(",".join)
_TOKENS = st.lists(st.one_of(_SPECIAL, _SPECIAL, _KEY, _VALUE, _GAP, _STRANGE), max_size=7)
SELECTOR = st.one_of(_GOOD, _GOOD, _ANY, _TOKENS.map("".join))
# Whose values need not be label values: whoever watches pods has no word in what they carry.
LABELS = st.dictionaries(st.sampled_from(("a", "b", "in", "notin", "x.io/a")), _VALUE, max_size=3)
