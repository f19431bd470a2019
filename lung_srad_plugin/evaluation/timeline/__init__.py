"""Timelines of whole recordings against their annotation: by time, by event, and which windows serve best."""
