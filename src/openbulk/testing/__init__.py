"""The promises that every connector and format keeps, as test classes to inherit.

They need pytest and pytest-asyncio (`asyncio_mode = "auto"`). A subclass sets what it tests. Each
method whose name begins with `test_` is a promise.
"""
