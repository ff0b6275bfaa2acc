from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """A call may say what its run may spend. (Calls without it are under the same budgets by the function as it was.)"""

    dependencies = [
        ("tracking", "0014_jobs_and_credits"),
    ]

    operations = [
        migrations.RunSQL((SQL / "ledger_scopes.sql").read_text(), migrations.RunSQL.noop),
    ]
