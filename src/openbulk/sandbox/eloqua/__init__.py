"""A stand-in for Oracle Eloqua: sign-in, the Bulk API 2.0 and the REST API.

GET  /id                                          who is signed in, and where the APIs are
*    /auth/oauth2/...                             OAuth 2
*    /api/bulk/2.0/{contacts|accounts}/...        fields, import definitions, staged data
*    /api/bulk/2.0/syncs/...                      syncs, their logs and rejects
*    /api/rest/{1.0|2.0}/...                      records one by one
GET  /                                            its data, for people
GET  /sandbox/contacts  /accounts  /campaigns  /lists  /stats     its data, for tests
POST /sandbox/faults  /sandbox/reset
"""

from openbulk.sandbox.eloqua.app import Options, make_app

__all__ = ["Options", "make_app"]
