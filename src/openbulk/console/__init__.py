"""The console: pages for a person at a browser, beside the API and on top of it.

It asks the API for all that it shows, and has it do all that it does: what the console can do, the
API can.
"""
