"""The query parameters of a list: whole numbers, and a criterion that the items meet.

https://docs.oracle.com/en/cloud/saas/marketing/eloqua-develop/Developers/RESTAPI/Tutorials/search_parameter.htm
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBER = "{number:[0-9]{1,12}}"
"""The number of a resource, in a path."""
_WHOLE_NUMBER = re.compile(r"[0-9]{1,11}")


def whole_number(query: Mapping[str, str], name: str, default: int) -> int:
    """A parameter that is a whole number from 0 on; the default if it is anything else."""
    text = query.get(name, "")
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else default


def search(items: Sequence[Mapping[str, Any]], criterion: str) -> Sequence[Mapping[str, Any]]:
    """The items that meet `term=value`, in any case, with `*` for anything.

    A value without a term is searched in `name`. An empty criterion matches every item.
    """
    if not criterion:
        return items
    term, equals, value = criterion.strip().strip('"').partition("=")
    if not equals:
        term, value = "name", term
    pattern = _glob(value.strip().strip("'\""))
    return [item for item in items if pattern.fullmatch(str(item.get(term.strip(), "")))]


def _glob(text: str) -> re.Pattern[str]:
    """A pattern in any case, in which `*` is anything."""
    first, *others = map(re.escape, text.split("*"))
    # Atomic: with many stars, a search that goes back could take for ever.
    inner = "".join(f"(?>.*?{piece})" for piece in others[:-1])
    last = "".join(f".*{piece}" for piece in others[-1:])
    return re.compile(first + inner + last, re.IGNORECASE | re.DOTALL)
