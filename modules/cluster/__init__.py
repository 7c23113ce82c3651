"""Workers on other machines, through Ray: the same queue, the same worker process, the same saver.

Ray finds the machines and carries words and bytes; it holds no state of ours. The job store stays the truth, and the web process knows
nothing of Ray: for each device far away it starts a bridge (a process of its own) where it would start a worker, and speaks the same
words with it. Nothing here is imported without `--cluster`. Start reading at `bridge`, then `post`.
"""
