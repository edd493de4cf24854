"""Storm: a seeded schedule of faults over a running feed, and the proof that nothing of it shows.

    python -m tests.faults.storm --seed 1 --faults 25          `make faults SEED=1 FAULTS=25`

    schedule    which fault when, by the seed                            pure
    mischief    what some people send on purpose                         pure
    speaker     the feed in this process, at the public's pace; it notes what was acknowledged
    crew        the workers, each a process of its own, and what their pages say
    flawed      a worker whose model fails on purpose
    storm       one run: broker, crew, speaker, faults
    truth       what the topics hold, counted the slow way, against what is shown and told
    soak        an hour of it, with the memory of every worker

Everything is real but the public: the broker, the processes, the signals, the model.
"""
