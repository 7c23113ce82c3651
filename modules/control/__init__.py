"""What another picture can say to a run: its look (shared attention, IP-Adapter), or what a control network reads from it.

Knows networks and pictures; knows nothing about requests beyond the words of a unit, nor about jobs. Start reading at `controlling` for
ControlNets, `look` and `ip_adapter` for looks, `maps` for what makes control maps.
"""
