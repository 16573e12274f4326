"""Data on its way in and out: backup, restore, another database, import, export."""
