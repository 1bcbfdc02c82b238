"""Predictions of made-up videos."""

from lipinc.datasets.records import Label, VideoRecord
from lipinc.evaluation.predictions import Predictions


def predictions(label, score, identity=None, key=None, condition=None, **columns) -> Predictions:
    """The scores of videos, one person each unless `identity` is given. columns: further text fields of the records."""
    count = len(label)
    key = [f"{i}.mp4" for i in range(count)] if key is None else key
    condition = ["raw"] * count if condition is None else condition
    records = [
        VideoRecord(
            path=key[i] if condition[i] == "raw" else key[i].removesuffix(f"@{condition[i]}"),
            label=Label(label[i]),
            identity=f"id{i}" if identity is None else identity[i],
            condition=condition[i],
            **{name: values[i] for name, values in columns.items()},
        )
        for i in range(count)
    ]
    return Predictions(records, score, windows=[1] * count)
