"""What `manage.py doctor` looks at. Each check returns findings; none changes anything."""
