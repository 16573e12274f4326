from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0003_builtin_of_several_processes")]

    operations = [
        migrations.CreateModel(
            name="Present",
            fields=[
                ("process", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("version", models.BigIntegerField(help_text="Changes with the people.")),
                ("seen_at", models.DateTimeField(help_text="By the database's clock.")),
                ("people", models.TextField()),
            ],
            options={"verbose_name_plural": "present"},
        ),
    ]
