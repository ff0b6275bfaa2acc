"""Tables that Django cannot describe: partitioned by day, or keyed for upserts; and the audit log's trigger."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("tracking", "0001_first_tables")]

    operations = [
        migrations.RunSQL(
            (SQL / "span_tables.sql").read_text(),
            "DROP TABLE tracking_usage_delta, tracking_usage, tracking_payload, tracking_span",
        ),
        migrations.RunSQL(
            (SQL / "audit_is_append_only.sql").read_text(),
            "DROP TRIGGER audit_is_append_only ON tracking_auditentry; DROP FUNCTION tracking_refuse_change()",
        ),
    ]
