"""Must be loaded before a_second, as metadata.ini asks."""

from modules import scripts

order = ["b_first"]
folder = scripts.basedir()
