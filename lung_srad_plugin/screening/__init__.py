"""Screening an archive on several machines: recordings through Ray Data, results as Parquet."""
