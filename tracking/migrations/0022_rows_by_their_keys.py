from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """A call changes its run's row twice: beside itself, where the page has room and the index on last_at hears of it once a second.
    A charge looks its hold up by its key."""

    dependencies = [("tracking", "0021_mcp_undos")]

    operations = [
        migrations.RunSQL((SQL / "gateway_finish.sql").read_text(), migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "gateway_admit.sql").read_text(), migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "ledger_charge.sql").read_text(), migrations.RunSQL.noop),
        migrations.RunSQL(
            "ALTER TABLE tracking_runcontrol SET (fillfactor = 70)", "ALTER TABLE tracking_runcontrol RESET (fillfactor)"
        ),
    ]
