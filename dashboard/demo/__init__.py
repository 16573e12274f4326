"""Sample dashboards over made-up numbers: `manage.py demo`.

ticker.py and shop.py make the numbers, seeded and one step after the other; past.py publishes a
history of them, live.py goes on by the clock; installing.py brings the dashboards and takes
everything away again. All that is stored is named `demo_...`, told as a demo, and bounded.
"""
