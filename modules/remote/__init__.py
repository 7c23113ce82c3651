"""Ways to this server from elsewhere: tunnels through the programs that people use for them, this machine's addresses, QR codes.

Knows command lines, processes and addresses; knows nothing about the server, who may come in, or the page. Start reading at
`clients.CLIENTS`, then `Tunnel`.
"""

from modules.remote.addresses import own_addresses
from modules.remote.asked import Asked, asked_of
from modules.remote.clients import CLIENTS, Client
from modules.remote.qr import in_words, picture
from modules.remote.state import ENDED, State
from modules.remote.tunnel import Tunnel

__all__ = ["CLIENTS", "ENDED", "Asked", "Client", "State", "Tunnel", "asked_of", "in_words", "own_addresses", "picture"]
