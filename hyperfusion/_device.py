"""What ``device`` means, for every estimator."""

from __future__ import annotations

import re

from hyperfusion._warnings import warn_user
from hyperfusion.exceptions import DeviceWarning, InvalidInputError

_NAMED = re.compile(r"cpu|mps|cuda(?::\d+)?")


def resolve_device(device: str) -> str:
    """Return the device to fit on, by torch's name; raise if it does not exist."""
    if device == "auto":
        return next((name for name in ("cuda", "mps") if _is_there(name)), "cpu")
    if _NAMED.fullmatch(device) is None:
        raise InvalidInputError(
            "device must be 'auto', 'cpu', 'cuda' or one GPU such as 'cuda:1'. Got "
            f"{device!r} instead."
        )
    if not _is_there(device):
        raise InvalidInputError(
            f"device={device!r} is not available: torch sees {_what_is_there()}. Use "
            "'auto' (a GPU if there is one) or 'cpu'."
        )
    return device


def device_to_predict(device: str) -> str:
    """Return the device for a fitted model, which may come from another machine."""
    if device == "auto" or _is_there(device):
        return resolve_device(device)
    warn_user(
        f"This model was fitted with device={device!r}, which is not available (torch "
        f"sees {_what_is_there()}): it predicts on the CPU. set_params(device='auto') "
        "uses whatever is available, without a warning.",
        DeviceWarning,
    )
    return "cpu"


def _is_there(device: str) -> bool:
    import torch

    if device == "cpu":
        return True
    if device == "mps":
        return bool(torch.backends.mps.is_available())
    number = int(device.partition(":")[2] or 0)
    return bool(torch.cuda.is_available()) and number < torch.cuda.device_count()


def _what_is_there() -> str:
    import torch

    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return "no GPU" if n == 0 else f"{n} GPU(s), 'cuda:0' to 'cuda:{n - 1}'"
