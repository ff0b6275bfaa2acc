"""A budget of many subjects is shown by its worst: the one that passed the highest threshold, of its present window.

A threshold is passed a few times a window, so the index costs a running sum next to nothing.
"""

from __future__ import annotations

from django.db import migrations

MAKE = """
CREATE INDEX budget_period_worst ON tracking_budget_period (team_id, budget_id, ends_at, told_percent DESC);
"""


class Migration(migrations.Migration):
    dependencies = [("tracking", "0007_alerts_told")]

    operations = [migrations.RunSQL(MAKE, "DROP INDEX budget_period_worst")]
