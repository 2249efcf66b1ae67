from ._report import Report as Report
from ._report import make_report as make_report

__all__: list[str]
