from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tracking", "0020_agents_and_jobs")]

    operations: ClassVar = [
        migrations.AddField(model_name="mcpserver", name="undos", field=models.JSONField(default=dict)),
    ]
