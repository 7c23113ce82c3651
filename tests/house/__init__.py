"""The rules of the house as tests: floors, cycles, sizes, writes, names, docs. Start reading at `tree.Tree`."""
