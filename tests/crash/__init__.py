"""openbulk under fire: its promises, checked while its processes are killed and its disk is full.

    scenario   from a seed: the jobs, the faults of the service, and what is killed when
    actors     the processes that can be killed
    caller     requests jobs, and does not give up
    receiver   receives their callbacks
    run        one scenario, from its first process to its last
    checker    from what a run has shown to the promises that are broken
    report     the line of a seed, and the table of many

`python -m crash --help`, or `make crash`.
"""
