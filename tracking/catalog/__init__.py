"""What callers may name as a model, changed by people and programs: each verb checks, changes and writes the log.

groups.py       a name and the deployments behind it: a team's own, or the installation's for the teams it is granted to
deployments.py  one model at one address: what may be said of it, and by whom
aliases.py      another name for a group or a model
credentials.py  providers' keys: sealed, never shown again but for their last characters
resolved.py     what a name comes to for a team
hand.py         who acts
"""

from tracking.catalog.aliases import aliases_of, delete_alias, make_alias
from tracking.catalog.credentials import (
    add_credential,
    change_credential,
    credential_of,
    credentials,
    delete_credential,
)
from tracking.catalog.groups import change_group, delete_group, group_of, groups_of, make_group
from tracking.catalog.hand import Hand
from tracking.catalog.resolved import Resolved, resolve

__all__ = [
    "Hand",
    "Resolved",
    "add_credential",
    "aliases_of",
    "change_credential",
    "change_group",
    "credential_of",
    "credentials",
    "delete_alias",
    "delete_credential",
    "delete_group",
    "group_of",
    "groups_of",
    "make_alias",
    "make_group",
    "resolve",
]
