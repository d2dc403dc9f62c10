"""openbulk under fire: what is promised, checked while its processes are killed, frozen and starved of space.

    scenario   from a seed: what callers ask for, what the service does wrong, and what is killed when
    actors     the processes that can be killed
    caller     somebody who asks for jobs, and does not give up
    receiver   somebody who is told of them
    run        one scenario from its first process to its last
    checker    from what was seen to what was broken
    report     the line of a seed, and the table of many

`python -m crash --help`, or `make crash`.
"""
