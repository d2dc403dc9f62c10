"""openbulk under fire: its promises, checked while its processes are killed and its disk is full.

    scenario   the jobs, the faults of the service, and what is killed when
    drawing    from a seed to its scenario
    actors     the processes that can be killed
    caller     requests jobs, and does not give up
    outsider   changes records at the service itself
    receiver   receives their callbacks
    run        one scenario, from its first process to its last
    checker    from what a run has shown to the promises that are broken
    verified   those of verifications
    notified   those of callbacks
    report     the line of a seed, and the table of many

`python -m crash --help`, or `make crash`.
"""
