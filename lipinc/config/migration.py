"""Config migration: converts saved configs of version 1, so that older checkpoints and runs remain usable."""

from typing import Any

MODEL_OPTIONS = {
    "lipinc": ("dropout", "batch_norm_momentum", "input_scale"),
    "lipinc_v2": ("attention", "batch_norm_momentum", "input_scale"),
    "noise_features": ("dropout", "noise", "input_dropout", "levels", "batch_norm_momentum"),
}
"""Model -> its options in version 1, where one section held the options of all models."""
DATA_OPTIONS = {
    "fakeavceleb": ("index", "fake_methods", "include_rtvc"),
    "folder": (),
    "csv": ("index", "columns"),
}
"""Data set -> its own options in version 1, where one section held the options of all data sets."""
EVERY_DATASET = ("root", "conditions", "forgeries", "max_missing", "note")
RENAMED = {"noise": "input_noise"}
DEFAULT_ROOT = "data/FakeAVCeleb_v1.2"
"""The default data.root of version 1, whatever the data set."""


def upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """Convert a version 1 config to version 2. Unknown fields are kept, so that the reader rejects them."""
    values = {name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}
    model, data, loss = (values.get(section, {}) for section in ("model", "data", "loss"))
    if model:
        model["name"] = {"statistics": "noise_features"}.get(model.get("name", "lipinc"), model.get("name", "lipinc"))
        _drop_other_options(model, MODEL_OPTIONS, "name", ("hidden",))
        if not model.get("hidden"):
            model.pop("hidden", None)  # 0 meant the model's default
        for old, new in RENAMED.items():
            if old in model:
                model[new] = model.pop(old)
        if model["name"] == "lipinc" and "features" in loss:
            model["loss_features"] = loss["features"]
    loss.pop("features", None)
    if data:
        _drop_other_options(data, DATA_OPTIONS, "kind", EVERY_DATASET)
        if data.get("root") == DEFAULT_ROOT:
            del data["root"]  # use the default of the data set
    return {"version": 2, **values}


def _drop_other_options(
    section: dict[str, Any], options: dict[str, tuple[str, ...]], choice: str, shared: tuple[str, ...]
) -> None:
    """Drop the options of the models or data sets that the section does not select."""
    selected = options.get(section.get(choice, next(iter(options))), ())
    known = {name for names in options.values() for name in names}
    for name in known - {*selected, *shared, choice}:
        section.pop(name, None)
