"""Findings: answers become georeferenced features, merged across chips, written for maps and for people."""

from fusar_gpt.findings.finding import SCORE_MEANING, Finding, Run, count_by_kind, crs_text
from fusar_gpt.findings.geojson import to_geojson
from fusar_gpt.findings.geopackage import write_geopackage
from fusar_gpt.findings.georeference import georeference
from fusar_gpt.findings.merge import Added, Change, Merge, Replaced
from fusar_gpt.findings.output import check_writable
from fusar_gpt.findings.overlay import draw_overlay, write_overlay
from fusar_gpt.findings.report import Result, write_report
from fusar_gpt.findings.total import area_totals

__all__ = [
    "SCORE_MEANING",
    "Added",
    "Change",
    "Finding",
    "Merge",
    "Replaced",
    "Result",
    "Run",
    "area_totals",
    "check_writable",
    "count_by_kind",
    "crs_text",
    "draw_overlay",
    "georeference",
    "to_geojson",
    "write_geopackage",
    "write_overlay",
    "write_report",
]
