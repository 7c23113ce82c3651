"""The recipe of the starter pack: from permissively licensed drawings to the small models under models/.

Nothing of the program imports this package. Start reading at starter/README.md, then `starter.make`.
"""
