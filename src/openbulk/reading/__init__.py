"""Reads the files of strangers in processes that may die, one file at a time in each.

    readers    starts the processes, and shares them out: the server's side
    process    a process that reads: `python -m openbulk.reading.process`
    messages   what the two send each other
    packing    rows in the form that parts keep

The process imports nothing but formats, so that it starts fast and stays small. It has no secrets,
no environment, and no file of the server: it asks for the blocks of the file that it reads.
"""
