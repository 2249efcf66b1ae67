"""What ``device`` means, for every estimator that has the parameter."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from hyperfusion import _device
from hyperfusion._device import device_to_predict, resolve_device
from hyperfusion.exceptions import DeviceWarning, InvalidInputError
from tests.common import all_cases

CASES = [c for c in all_cases() if "device" in c.estimator.get_params()]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
each_network = pytest.mark.parametrize(
    "case",
    [c for c in CASES if hasattr(c.estimator, "_network_class")],
    ids=lambda c: c.id,
)
pytestmark = pytest.mark.filterwarnings("ignore:.*works as a plain network")


@pytest.fixture
def gpus(monkeypatch):
    """Make believe that there are so many GPUs of NVIDIA's."""

    def pretend(n):
        def there(device):
            kind, _, number = device.partition(":")
            return kind == "cpu" or (kind == "cuda" and int(number or 0) < n)

        monkeypatch.setattr(_device, "_is_there", there)

    return pretend


def test_the_first_gpu_or_the_cpu(gpus):
    gpus(0)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    gpus(2)
    assert resolve_device("auto") == "cuda"
    assert [resolve_device(d) for d in ("cpu", "cuda:1")] == ["cpu", "cuda:1"]
    with pytest.raises(InvalidInputError, match="device='cuda:2' is not available"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("device", ["nowhere", "gpu", "cuda:", "cuda:x", ""])
def test_what_is_no_device(device):
    with pytest.raises(InvalidInputError, match="must be 'auto', 'cpu', 'cuda' or"):
        resolve_device(device)


def test_a_fitted_model_goes_where_it_can(gpus):
    gpus(1)
    assert device_to_predict("cuda:0") == "cuda:0"
    assert device_to_predict("auto") == "cuda"
    with pytest.warns(DeviceWarning, match="device='cuda:1', which is not available"):
        assert device_to_predict("cuda:1") == "cpu"


@each_case
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:99", r"device='cuda:99' is not available: torch sees .* Use 'auto' "),
        ("nowhere", r"device must be .* Got 'nowhere'"),
    ],
)
def test_an_absent_device_is_one_error_before_anything_else(case, device, message):
    X, y = case.data
    estimator = clone(case.estimator).set_params(device=device)
    start = getattr(estimator, "fit_transform", estimator.fit)
    with pytest.raises(InvalidInputError, match=message):
        start(X, y)


@each_network
def test_a_model_from_elsewhere_warns_once_and_predicts_on_the_cpu(case):
    X, y = case.data
    model = clone(case.estimator).set_params(max_iter=2, device="cpu").fit(X, y)
    expected = model.predict(X)
    copy = pickle.loads(pickle.dumps(model.set_params(device="cuda:99")))
    with pytest.warns(DeviceWarning, match="predicts on the CPU") as caught:
        found = copy.predict(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(found, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy.predict(X)
        copy.set_params(device="cpu").predict(X)
