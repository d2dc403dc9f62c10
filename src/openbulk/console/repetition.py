"""When a schedule is due: a choice of the form as a cron expression of the API, in UTC."""

import re
from collections.abc import Mapping

_TIME = re.compile(r"(\d\d):(\d\d)")
OWN = "own"
REPETITIONS: Mapping[str, str] = {
    "hour": "0 {minute} * ? * *",
    "day": "0 {minute} {hour} ? * *",
    "weekday": "0 {minute} {hour} ? * MON-FRI",
    "week": "0 {minute} {hour} ? * MON",
    "month": "0 {minute} {hour} 1 * ?",
}
"""How often, and the cron expression. A week is due on Mondays, a month on its first day."""


def cron_of(form: Mapping[str, str]) -> str:
    """The cron expression that a form makes. The API says what is wrong with one's own."""
    if form.get("every") not in REPETITIONS:
        return form.get("cron", "").strip()
    found = _TIME.fullmatch(form.get("at", ""))
    hour, minute = (int(found[1]), int(found[2])) if found else (0, 0)
    return REPETITIONS[form["every"]].format(hour=hour, minute=minute)
