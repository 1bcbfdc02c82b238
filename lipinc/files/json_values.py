"""Values of strict JSON, which has neither nan nor infinity."""

import math
from typing import Any


def finite(value: Any) -> Any:
    """Return a value, also one of nested dicts, lists and tuples, with None (null) for floats that are not finite."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
