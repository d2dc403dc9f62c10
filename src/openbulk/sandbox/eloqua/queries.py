"""What a caller asks of a list: numbers, and a criterion that the items meet.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/RESTAPI/Tutorials/search_parameter.htm
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBER = "{number:[0-9]{1,12}}"
"""The number of one thing, in a path."""


def number_in(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 0 on; what is none counts as not said."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else default


def matching(items: Sequence[Mapping[str, Any]], criterion: str) -> Sequence[Mapping[str, Any]]:
    """The items that meet `term=value`, in any case, with `*` for anything; a value alone is looked for in `name`.

    An empty criterion is met by all.
    """
    if not criterion:
        return items
    term, equals, value = criterion.strip().strip('"').partition("=")
    if not equals:
        term, value = "name", term
    parts = value.strip().strip("'\"").split("*")
    pattern = re.compile(".*".join(re.escape(part) for part in parts), re.IGNORECASE | re.DOTALL)
    return [item for item in items if pattern.fullmatch(str(item.get(term.strip(), "")))]
