"""Proposes how the columns of a file make the fields of an object.

`propose` in `proposal.py` is the way in: a pure function of a header, what its columns hold, and
the object's schema. The words that people use for fields are in `synonyms/`, a file for each kind
of object and language.
"""
