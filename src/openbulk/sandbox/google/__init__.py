"""A stand-in for Google: OAuth 2 and the Calendar API v3.

GET  /o/oauth2/v2/auth                        the consent page
POST /token   POST /revoke                    access tokens for codes, refresh tokens, assertions
*    /calendar/v3/...                         calendars and events
GET  /                                        its data, for people
GET  /sandbox/events  /sandbox/stats          its data, for tests
POST /sandbox/tokens  /sandbox/faults  /sandbox/forget  /sandbox/reset
"""

from openbulk.sandbox.google.app import Options, make_app
from openbulk.sandbox.google.store import CHANGES_SECONDS

__all__ = ["CHANGES_SECONDS", "Options", "make_app"]
