"""Runs as one page for an analyst: a self-contained HTML file without scripts or links to anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from fusar_gpt.contract import Finding, Run, Value
from fusar_gpt.findings.finding import count_by_kind
from fusar_gpt.findings.output import whole_file

MAX_ROWS = 300
"""Rows of one table; the GeoPackage holds the rest."""

_CELLS = (
    "top left",
    "top centre",
    "top right",
    "middle left",
    "centre",
    "middle right",
    "bottom left",
    "bottom centre",
    "bottom right",
)
_DID = {
    "count": "Count",
    "locate": "Locate in a 3 x 3 grid",
    "classify": "Classify given boxes",
    "detect": "Detect",
    "describe": "Describe",
    "ask": "Ask",
}


@dataclass(frozen=True)
class Result:
    """A finished run: its findings, and its picture as PNG."""

    run: Run
    findings: Sequence[Finding]
    picture: bytes


def write_report(path: Path, results: Sequence[Result]) -> None:
    """Writes one page with a section for each run.

    Raises:
        OutputError: The file cannot be written. What stood there is untouched.
    """
    page = Template(resources.files(__package__).joinpath("report.html").read_text("utf-8"))
    scenes = ", ".join(dict.fromkeys(result.run.scene for result in results))
    html = page.substitute(
        title="Radar interpretation report",
        subtitle=escape(scenes),
        sections="\n".join(_section(result) for result in results),
        score_meaning=escape("; ".join(dict.fromkeys(result.run.score_meaning for result in results))),
        version=escape(", ".join(dict.fromkeys(result.run.version for result in results))),
    )
    with whole_file(path) as temporary:
        temporary.write_text(html, "utf-8")


def _section(result: Result) -> str:
    run, layers = result.run, _by_layer(result.findings)
    picture = base64.b64encode(result.picture).decode("ascii")
    targets = f": {', '.join(run.targets)}" if run.targets else ""
    parts = [
        f"<h2>{escape(run.scene)}</h2>",
        f'<p class="soft">{escape(_DID.get(run.task, run.task) + targets)}, {escape(_time(run.started))}</p>',
        _banner(run, result.findings),
        _figures(result.findings),
        f'<figure><img alt="The scene with its findings" src="data:image/png;base64,{picture}">'
        "<figcaption>The scene in its own pixel geometry, in the grey levels the model saw. "
        "The arrow points to true north.</figcaption></figure>",
        _detections(layers["detections"]),
        _grid(layers["grid"]),
        _answers(layers["answers"]),
        "" if result.findings else "<h3>Findings</h3><p>The model reported nothing in this area.</p>",
        _provenance(run),
    ]
    return "<section>\n" + "\n".join(part for part in parts if part) + "\n</section>"


def _by_layer(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    layers: dict[str, list[Finding]] = {"detections": [], "grid": [], "answers": []}
    for finding in findings:
        layers[finding.layer].append(finding)
    return layers


def _banner(run: Run, findings: Sequence[Finding]) -> str:
    """What must be known before anything below is believed."""
    said = []
    if run.scene_simulated:
        said.append("<b>Simulated scene.</b> No radar recorded it; nothing in it exists.")
    if run.demonstration:
        said.append(
            "<b>Demonstration model.</b> It shows how the product works. Its answers are often wrong "
            "and are not fit for any decision."
        )
    if run.prior == "none":
        said.append("<b>No prior.</b> The model saw the radar image alone, without geographic embeddings.")
    elif any(finding.properties["prior"] == "none" for finding in findings):
        said.append("<b>No prior in places.</b> Some chips were seen without geographic embeddings.")
    if run.prior_simulated:
        said.append("<b>Simulated prior.</b> Its embeddings do not describe the real place.")
    if not said:
        return ""
    return '<div class="banner">' + "".join(f"<p>{line}</p>" for line in said) + "</div>"


def _figures(findings: Sequence[Finding]) -> str:
    """The run in a few large numbers."""
    items = "".join(f"<li><b>{n}</b>{escape(kind)}</li>" for kind, n in count_by_kind(findings).items())
    return f'<ul class="figures">{items}</ul>' if items else ""


def _detections(findings: Sequence[Finding]) -> str:
    ordered = sorted(findings, key=lambda f: -float(f.properties["score"] or 0))
    rows = []
    for number, finding in enumerate(ordered[:MAX_ROWS], 1):
        p = finding.properties
        size = f"{p['length_m']:.0f} &times; {p['width_m']:.0f} m"
        rows.append(
            _row(
                (str(number), "n"),
                (escape(str(p["label"])), ""),
                (_score(p["score"]), ""),
                (size, "n"),
                (_place(p), "place"),
                (str(p["chip"]), "n"),
            )
        )
    heads = (
        ("", "n"),
        ("Class", ""),
        ("Token probability", ""),
        ("Box, length &times; width", "n"),
        ("Centre", ""),
        ("Chip", "n"),
    )
    return _table("Detections", heads, rows, len(ordered))


def _grid(findings: Sequence[Finding]) -> str:
    """One row a chip and target: the cells that hold it, in words."""
    asked: dict[tuple[Value, Value], list[Finding]] = {}
    for finding in findings:
        asked.setdefault((finding.properties["chip"], finding.properties["target"]), []).append(finding)
    rows = []
    for (chip, target), cells in list(asked.items())[:MAX_ROWS]:
        numbers = sorted(int(f.properties["cell"] or 0) for f in cells if f.properties["hit"])
        words = ", ".join(f"{_CELLS[number - 1]} ({number})" for number in numbers)
        middle = next((f.properties for f in cells if f.properties["cell"] == 5), cells[0].properties)
        rows.append(
            _row(
                (str(chip), "n"),
                (escape(str(target)), ""),
                (words or "in none of the nine cells", ""),
                (_place(middle), "place"),
            )
        )
    heads = (("Chip", "n"), ("Target", ""), ("Where in the chip", ""), ("Centre of the chip", ""))
    return _table("Grid", heads, rows, len(asked))


def _answers(findings: Sequence[Finding]) -> str:
    rows = []
    for finding in findings[:MAX_ROWS]:
        p = finding.properties
        asked = " ".join(escape(str(p[key])) for key in ("task", "target") if p.get(key) is not None)
        question = f'<br><span class="soft">{escape(str(p["question"]))}</span>' if p.get("question") else ""
        rows.append(
            _row(
                (str(p.get("chip", "all")), "n"),
                (asked + question, ""),
                (_said(p), ""),
                (_score(p.get("score")), ""),
                (_place(p), "place"),
            )
        )
    heads = (("Chip", "n"), ("Asked", ""), ("Answer", ""), ("Token probability", ""), ("Centre", ""))
    return _table("Answers", heads, rows, len(findings))


def _said(p: dict[str, Value]) -> str:
    """The answer in words; the model's text is never trusted as HTML."""
    value = p["count"] if p.get("count") is not None else p.get("label")
    said = f"<b>{escape(str(value))}</b>" if value is not None else ""
    if p.get("text"):
        said += f"<blockquote>{escape(str(p['text']))}</blockquote>"
    if not p["complete"]:
        said += '<span class="soft">cut off or not understood: do not read it as "none"</span>'
    return said


def _provenance(run: Run) -> str:
    prior = run.prior if run.prior_year is None else f"{run.prior}, year {run.prior_year}"
    if run.prior_year_asked is not None:
        prior += f" ({run.prior_year_asked} was asked for)"
    facts = {
        "Model": f"{escape(run.model)}{' (demonstration)' if run.demonstration else ''}<br>"
        f"<code>{escape(run.model_hash)}</code>",
        "Prior": escape(prior) + (" (simulated)" if run.prior_simulated else ""),
        "Scene": f"{escape(run.scene)}{' (simulated)' if run.scene_simulated else ''}, "
        f"{escape(run.band)}<br><code>{escape(run.scene_fingerprint)}</code>",
        "Coordinate system": f"<code>{escape(run.scene_crs)}</code>",
        "Stretch": "8-bit grey levels as stored in the file"
        if run.quantity == "grey"
        else f"{run.quantity}, {run.stretch_low_db:.1f} dB is black, {run.stretch_high_db:.1f} dB is white",
        "Chips": f"{run.chip_ground_m:,.0f} m a side, {run.overlap:.0%} overlap, {run.aspect}",
        "Prompt": f"<code>{escape(chr(10).join(run.prompts))}</code>",
        "Started": escape(_time(run.started)),
        "Run": f"<code>{escape(run.id)}</code>, FUSAR-GPT for QGIS {escape(run.version)}",
        "Scene attribution": escape(run.attribution or "none stated in the file"),
    }
    if run.prior_attribution:
        facts["Prior attribution"] = escape(run.prior_attribution)
    if run.prior_note:
        facts["What was said of the prior"] = escape(run.prior_note)
    rows = "".join(f"<tr><th>{name}</th><td>{fact}</td></tr>" for name, fact in facts.items())
    return f'<h3>How this was made</h3><table class="facts"><tbody>{rows}</tbody></table>'


def _table(title: str, heads: Sequence[tuple[str, str]], rows: Sequence[str], total: int) -> str:
    """A table of ready rows; nothing at all without rows."""
    if not rows:
        return ""
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in heads)
    more = f'<p class="soft">{total - len(rows)} more are in the GeoPackage.</p>' if total > len(rows) else ""
    body = "".join(rows)
    return (
        f'<h3>{title}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{more}"
    )


def _row(*cells: tuple[str, str]) -> str:
    return "<tr>" + "".join(f'<td class="{kind}">{html}</td>' for html, kind in cells) + "</tr>\n"


def _score(score: Value) -> str:
    if not isinstance(score, float):
        return '<span class="soft">none</span>'
    percent = min(max(score, 0.0), 1.0) * 100
    return f'<span class="score"><i style="width:{percent:.0f}%"></i></span>{score:.2f}'


def _place(p: dict[str, Value]) -> str:
    lon, lat = float(p["lon"] or 0), float(p["lat"] or 0)
    return f"{abs(lat):.5f}° {'S' if lat < 0 else 'N'}, {abs(lon):.5f}° {'W' if lon < 0 else 'E'}"


def _time(iso: str) -> str:
    """``2026-01-02T03:04:05+00:00`` as ``2026-01-02 03:04 UTC``."""
    return f"{iso[:10]} {iso[11:16]} UTC" if iso[10:11] == "T" else iso
