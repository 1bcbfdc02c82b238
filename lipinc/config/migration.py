"""Saved configs of version 1 as this version has them, so that earlier checkpoints and runs stay usable."""

from typing import Any

MODEL_OPTIONS = {
    "lipinc": ("dropout", "batch_norm_momentum", "input_scale"),
    "lipinc_v2": ("attention", "batch_norm_momentum", "input_scale"),
    "noise_features": ("dropout", "noise", "input_dropout", "levels", "batch_norm_momentum"),
}
"""Version 1 had one section for the options of all models; each model had these."""
DATA_OPTIONS = {
    "fakeavceleb": ("index", "fake_methods", "include_rtvc"),
    "folder": (),
    "csv": ("index", "columns"),
}
"""Likewise for data sets."""
EVERY_DATASET = ("root", "conditions", "forgeries", "max_missing", "note")
RENAMED = {"noise": "input_noise"}
DEFAULT_ROOT = "data/FakeAVCeleb_v1.2"
"""The default data.root of version 1, whatever the data set."""


def upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """A config of version 1 as one of version 2. Fields that neither knows stay, so that reading refuses them."""
    values = {name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}
    model, data, loss = (values.get(section, {}) for section in ("model", "data", "loss"))
    if model:
        model["name"] = {"statistics": "noise_features"}.get(model.get("name", "lipinc"), model.get("name", "lipinc"))
        _keep(model, MODEL_OPTIONS, "name", ("hidden",))
        if not model.get("hidden"):
            model.pop("hidden", None)  # 0 stood for the default of the model
        for old, new in RENAMED.items():
            if old in model:
                model[new] = model.pop(old)
        if model["name"] == "lipinc" and "features" in loss:
            model["loss_features"] = loss["features"]
    loss.pop("features", None)
    if data:
        _keep(data, DATA_OPTIONS, "kind", EVERY_DATASET)
        if data.get("root") == DEFAULT_ROOT:
            del data["root"]  # the default of the data set, too
    return {"version": 2, **values}


def _keep(section: dict[str, Any], options: dict[str, tuple[str, ...]], choice: str, shared: tuple[str, ...]) -> None:
    """Drop the options of the alternatives that were not chosen."""
    mine = options.get(section.get(choice, next(iter(options))), ())
    others = {name for names in options.values() for name in names}
    for name in others - {*mine, *shared, choice}:
        section.pop(name, None)
