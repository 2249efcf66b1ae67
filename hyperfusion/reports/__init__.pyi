from ._report import Report as Report
from ._report import report as report

__all__: list[str]
