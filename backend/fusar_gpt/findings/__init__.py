"""Findings: answers become georeferenced features, merged across chips, written for maps and for people."""

from fusar_gpt.findings.finding import count_by_kind
from fusar_gpt.findings.geopackage import is_findings_file, write_geopackage
from fusar_gpt.findings.georeference import georeference, not_asked
from fusar_gpt.findings.heat_file import is_heat_file, write_heat
from fusar_gpt.findings.merge import Merge
from fusar_gpt.findings.overlay import draw_overlay, write_overlay
from fusar_gpt.findings.place_files import is_places_file, read_places, write_places
from fusar_gpt.findings.prior_effect import PriorEffect, prior_effect
from fusar_gpt.findings.report import ReportedRun, write_report
from fusar_gpt.findings.total import AreaNumbers
from fusar_gpt.output import check_output, check_writable

__all__ = [
    "AreaNumbers",
    "Merge",
    "PriorEffect",
    "ReportedRun",
    "check_output",
    "check_writable",
    "count_by_kind",
    "draw_overlay",
    "georeference",
    "is_findings_file",
    "is_heat_file",
    "is_places_file",
    "not_asked",
    "prior_effect",
    "read_places",
    "write_geopackage",
    "write_heat",
    "write_overlay",
    "write_places",
    "write_report",
]
