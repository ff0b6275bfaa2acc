from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"

# Nearly all of a memory are hashes, which do not compress: trying took most of the time of writing one.
STORED_AS_IT_IS = "ALTER TABLE tracking_runcontrol ALTER COLUMN loop_state SET STORAGE EXTERNAL"


class Migration(migrations.Migration):
    """Calls take fewer trips: one that settles tells what its run has cost by then and moves its memory of turns on, and one
    that holds money brings a memory along that others have moved on."""

    dependencies = [
        ("tracking", "0016_job_rows"),
    ]

    operations = [
        migrations.RunSQL((SQL / "gateway_finish.sql").read_text(), "DROP FUNCTION gateway_finish_all"),
        migrations.RunSQL((SQL / "gateway_admit.sql").read_text(), migrations.RunSQL.noop),
        migrations.RunSQL(
            STORED_AS_IT_IS, "ALTER TABLE tracking_runcontrol ALTER COLUMN loop_state SET STORAGE EXTENDED"
        ),
        # A plan that was made while the table was small took this index for as good as the primary key, and read all of a
        # team's runs to find one.
        migrations.AlterField(
            "runcontrol",
            "team",
            models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tracking.team"
            ),
        ),
    ]
