"""Who the people are: the users file, their passwords and tokens, what a role may do, and how much guests may ask for.

Knows names, roles and limits; knows nothing about HTTP or the page. Start reading at `Viewer`, then `Users`.
"""

from modules.users.allowance import Allowance
from modules.users.records import NAME_RULE, Token, User
from modules.users.roles import ADMIN, GUEST, LOCAL, ROLES, USER, Viewer, require, viewer_of
from modules.users.store import Users

__all__ = ["ADMIN", "GUEST", "LOCAL", "NAME_RULE", "ROLES", "USER", "Allowance", "Token", "User", "Users", "Viewer", "require", "viewer_of"]
