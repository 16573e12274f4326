"""How metrics.reader reads: what is not sealed yet, chunks and rollups, joined.

A sample is in the log, in a chunk, or for a moment in both: sealing writes the chunk and marks the
batch in one transaction. So the log is read first and chunks second, raw chunks before rollups:
what moves on meanwhile is seen twice, and never not at all. Where two places hold a sample, the
newest batch's value counts, and a batch's before a chunk's.
"""
