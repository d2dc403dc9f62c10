"""The encodings of text, by the names that the web gives them.

The WHATWG Encoding Standard (https://encoding.spec.whatwg.org/#names-and-labels) says which
encoding a label means: `latin1` is Windows-1252 there, `gb2312` is GB18030, and US-ASCII is read as
UTF-8, which contains it.
"""

import codecs
from collections.abc import Mapping

_LABELS_BY_CODEC: Mapping[str, str] = {
    "utf-8": "utf-8 utf8 utf-8-sig unicode-1-1-utf-8 x-unicode20utf8 ascii us-ascii",
    "utf-16-le": "utf-16 utf-16le utf-16-le unicode ucs-2 iso-10646-ucs-2 csunicode",
    "utf-16-be": "utf-16be utf-16-be unicodefffe",
    "cp1252": (
        "windows-1252 cp1252 x-cp1252 latin-1 latin1 l1 iso-8859-1 iso8859-1 iso88591 iso_8859-1 "
        "ansi ansi_x3.4-1968 cp819 ibm819 iso-ir-100 csisolatin1"
    ),
    "cp866": "ibm866 866 cp866 csibm866",
    "iso8859_2": (
        "iso-8859-2 iso8859-2 iso88592 iso_8859-2 latin2 latin-2 l2 iso-ir-101 csisolatin2"
    ),
    "iso8859_3": "iso-8859-3 iso8859-3 iso88593 iso_8859-3 latin3 l3 iso-ir-109 csisolatin3",
    "iso8859_4": "iso-8859-4 iso8859-4 iso88594 iso_8859-4 latin4 l4 iso-ir-110 csisolatin4",
    "iso8859_5": "iso-8859-5 iso8859-5 iso88595 iso_8859-5 cyrillic iso-ir-144 csisolatincyrillic",
    "iso8859_6": (
        "iso-8859-6 iso8859-6 iso88596 iso_8859-6 iso-8859-6-e iso-8859-6-i arabic asmo-708 "
        "ecma-114 iso-ir-127 csisolatinarabic"
    ),
    "iso8859_7": (
        "iso-8859-7 iso8859-7 iso88597 iso_8859-7 greek greek8 ecma-118 elot_928 sun_eu_greek "
        "iso-ir-126 csisolatingreek"
    ),
    "iso8859_8": (
        "iso-8859-8 iso8859-8 iso88598 iso_8859-8 iso-8859-8-e iso-8859-8-i hebrew visual logical "
        "iso-ir-138 csisolatinhebrew csiso88598e csiso88598i"
    ),
    "iso8859_10": "iso-8859-10 iso8859-10 iso885910 latin6 l6 iso-ir-157 csisolatin6",
    "iso8859_13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859_14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859_15": "iso-8859-15 iso8859-15 iso885915 iso_8859-15 latin-9 latin9 l9 csisolatin9",
    "iso8859_16": "iso-8859-16",
    "koi8_r": "koi8-r koi8 koi koi8_r cskoi8r",
    "koi8_u": "koi8-u koi8-ru",
    "mac_roman": "macintosh mac x-mac-roman csmacintosh",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "cp874": "windows-874 dos-874 tis-620 iso-8859-11 iso8859-11 iso885911 cp874",
    "cp1250": "windows-1250 cp1250 x-cp1250",
    "cp1251": "windows-1251 cp1251 x-cp1251",
    "cp1253": "windows-1253 cp1253 x-cp1253",
    "cp1254": (
        "windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso88599 iso_8859-9 latin5 l5 "
        "iso-ir-148 csisolatin5"
    ),
    "cp1255": "windows-1255 cp1255 x-cp1255",
    "cp1256": "windows-1256 cp1256 x-cp1256",
    "cp1257": "windows-1257 cp1257 x-cp1257",
    "cp1258": "windows-1258 cp1258 x-cp1258",
    "gb18030": (
        "gb18030 gbk x-gbk gb2312 gb_2312 gb_2312-80 cp936 chinese iso-ir-58 "
        "csgb2312 csiso58gb231280"
    ),
    "big5hkscs": "big5 big5-hkscs cn-big5 x-x-big5 csbig5",
    "euc_jp": "euc-jp x-euc-jp cseucpkdfmtjapanese",
    "iso2022_jp": "iso-2022-jp csiso2022jp",
    "cp932": "shift_jis shift-jis sjis x-sjis ms_kanji ms932 cp932 windows-31j csshiftjis",
    "cp949": (
        "euc-kr cseuckr korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 iso-ir-149 cp949 "
        "windows-949 csksc56011987"
    ),
}
"""Python's codecs and their labels; the first of them is the encoding's name."""
_CODECS = {label: codec for codec, labels in _LABELS_BY_CODEC.items() for label in labels.split()}
ENCODING_NAMES: Mapping[str, str] = {
    codec: labels.partition(" ")[0] for codec, labels in _LABELS_BY_CODEC.items()
}
"""The web's name of each codec."""
DAMAGE = "openbulk-damage"
"""An error handler of codecs: an undecodable byte becomes a lone surrogate, in any encoding."""


def find_codec(label: str) -> str | None:
    """Python's codec for a label, in any case; None for an unknown one."""
    return _CODECS.get(label.strip().lower())


def decode_named(content: bytes, label: str) -> str:
    """Text in the encoding of that label.

    Raises LookupError for an unknown label, and UnicodeDecodeError.
    """
    codec = find_codec(label)
    if codec is None:
        raise LookupError(label)
    return content.decode(codec)


def _keep_damage(error: UnicodeError) -> tuple[str, int]:
    """As `surrogateescape` does (PEP 383), which refuses ASCII after half a character."""
    assert isinstance(error, UnicodeDecodeError)
    damaged = error.object[error.start : error.end]
    return damaged.decode("ascii", "surrogateescape"), error.end


codecs.register_error(DAMAGE, _keep_damage)
