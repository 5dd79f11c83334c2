"""What a run shows of itself: progress, numbers, turntable, report, provenance."""

from nerf2mesh.report.clock import StageClock
from nerf2mesh.report.config import ReportConfig
from nerf2mesh.report.directions import SPREAD
from nerf2mesh.report.energy import EnergyMeter, cost_metrics
from nerf2mesh.report.html import write_report
from nerf2mesh.report.loggers import RunLogs
from nerf2mesh.report.metrics_log import MetricsLog, read_metrics
from nerf2mesh.report.progress import Progress
from nerf2mesh.report.provenance import file_facts, provenance, sha256_file, versions, write_json
from nerf2mesh.report.turntable import write_turntable
from nerf2mesh.report.viewer import viewer_iframe, viewer_page

__all__ = [
    "SPREAD",
    "EnergyMeter",
    "MetricsLog",
    "Progress",
    "ReportConfig",
    "RunLogs",
    "StageClock",
    "cost_metrics",
    "file_facts",
    "provenance",
    "read_metrics",
    "sha256_file",
    "versions",
    "viewer_iframe",
    "viewer_page",
    "write_json",
    "write_report",
    "write_turntable",
]
