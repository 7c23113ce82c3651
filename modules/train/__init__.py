"""Training: a session on disk, its pictures, what is trained, and the loop that does it. Importing this package loads no torch.

    sessions        the folder of a session: what lies where, create, list, clone, zip, move. No torch
    trainee         what the loop needs of a method: `Trainee`, `Example`, `StepNoise`
    loop            `train(session, config, trainee, dataset, control)`: start reading there
    state           the state to go on from, in two generations, each checked before it is believed
    optimizers      one row an optimizer; schedules: the learning rate
    data/           pictures, captions, buckets, caches;  networks/, methods/: what can be trained

Knows nothing about jobs, the page or who asks.
"""
