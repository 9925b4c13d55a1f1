"""The sentences of an answer, as templates in English and in Chinese."""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

from fusar_gpt.contract import Finding, Run
from fusar_gpt.tasks.vocabulary import chinese_name, plural

ENGLISH = {
    "chip": "Chip {number} of {chips}: ",
    "image": "Image {number} of {chips}: ",
    "and": ", ",
    "in all": "In all: ",
    "in one": "",
    "stop": ".",
    "merged": ", by detections that were merged where chips overlap; the numbers above are each chip's own.",
    "unknown": "an unknown number of {what}",
    "detected": " detected.",
    "listed": " detected:",
    "more": "and {number} more, all among the findings",
    "line": "{number}. {label} at {place}{size}{confidence}",
    "confidence": ", confidence {share:.0%}",
    "size": ", {length:.0f} x {width:.0f} m",
    "cells": "Cells with {what}: {cells}.",
    "cells in all": "Cells with {what} in all: {number}.",
    "no cells": "No cell holds {what}.",
    "grid": "Cells are numbered 1 to 9, row by row from the top left.",
    "it is": "The model takes it for: {label}.",
    "which is": "No. {number}, at {place}, is taken for: {label}.",
    "no class": "The model named no class.",
    "none to pick": "Nothing was detected here, so there is none to choose.",
    "too few": "Only {number} detected here.",
    "unclear": "Cut off or not understood: {number} of the model's answers.",
    "no data": "Chips with too little data to be asked about: {number}. Nothing is known of that ground.",
    "agree": "Self-check: count and detections agree.",
    "chips disagree": "Self-check: in {number} of {chips} chips the model's own count of {what} is another than what "
    "it detects there: look at the map before you rely on the number.",
    "disagree": "Self-check: {counted} counted, but ",
    "but": "{detected} detected",
    "beware": " in the same area. They disagree: look at the map before you rely on either. "
    "A count takes in whole chips, also beyond the area's edge.",
    "cut": " [cut off]",
    "like words": 'like "{words}"',
    "like this": "like this, in the whole scene",
    "places": "Places {like}: {number}, the most alike first.",
    "place": "{rank}. {place}, percentile {percentile:.1f}",
    "ranked": "A percentile is the share of what was searched that is less alike: it ranks the places, and does not "
    "say that one of them is what was asked for.",
    "no example": 'Nothing says what "this" is: draw an area or select a finding, and ask again.',
    "pick a place": "That asks about one of the places: follow its link, draw an area there, and ask again.",
    "search": "a search for places {like}",
    "understood": "Understood as: {what}.",
    "model": "Model: {model}{demonstration}. Prior: {prior}.{simulated}",
    "demonstration": " (demonstration only)",
    "prior": "{source}{year}{simulated}",
    "simulated prior": ", simulated",
    "no prior": "none",
    "simulated": " The scene is simulated.",
}

CHINESE = {
    "chip": "第 {number}/{chips} 块：",
    "image": "第 {number}/{chips} 幅图像：",
    "and": "、",
    "in all": "共",
    "in one": "",
    "stop": "。",
    "merged": "（检测结果，重叠处已合并；以上为各块自身的计数）。",
    "unknown": "数量不明的{what}",
    "detected": "，均为检测结果。",
    "listed": "，检测结果如下：",
    "more": "另有 {number} 个，均列入结果",
    "line": "{number}. {label}，位于 {place}{size}{confidence}",
    "confidence": "，置信度 {share:.0%}",
    "size": "，{length:.0f} x {width:.0f} 米",
    "cells": "有{what}的格子：{cells}。",
    "cells in all": "有{what}的格子共 {number} 个。",
    "no cells": "没有任何一格内有{what}。",
    "grid": "格子自左上起逐行编号 1 至 9。",
    "it is": "模型认为它是：{label}。",
    "which is": "第 {number} 个（位于 {place}）被认为是：{label}。",
    "no class": "模型没有给出类别。",
    "none to pick": "此处没有检测到目标，无从选择。",
    "too few": "此处只检测到 {number} 个。",
    "unclear": "模型有 {number} 个回答被截断或无法理解。",
    "no data": "有 {number} 块影像数据过少，未予询问；该处情况不明。",
    "agree": "自检：计数与检测一致。",
    "chips disagree": "自检：{chips} 块中有 {number} 块的{what}计数与检测不一致，请先查看地图再采用。",
    "disagree": "自检：计数为{counted}，但",
    "but": "检测到{detected}",
    "beware": "（同一区域）。两者不一致，请先查看地图再采用。计数针对整块影像，可能超出区域边界。",
    "cut": "[回答被截断]",
    "like words": "与“{words}”相似",
    "like this": "整个场景中与此处相似",
    "places": "{like}的地方共 {number} 处，最相似的在前。",
    "place": "{rank}. {place}，百分位 {percentile:.1f}",
    "ranked": "百分位指搜索范围内相似程度更低者所占的比例：它只用于排序，并不说明其中任何一处就是所要找的。",
    "no example": "不清楚“此处”指哪里：请先绘制区域或选择一个结果，然后再问。",
    "pick a place": "这是在问其中一处地方：请打开它的链接，在那里绘制区域，然后再问。",
    "search": "搜索{like}的地方",
    "understood": "理解为：{what}。",
    "model": "模型：{model}{demonstration}。先验：{prior}。{simulated}",
    "demonstration": "（仅供演示）",
    "prior": "{source}{year}{simulated}",
    "simulated prior": "（模拟）",
    "no prior": "无",
    "simulated": "该场景为模拟数据。",
}

_MEASURES = {
    "ship": "艘",
    "plane": "架",
    "aircraft": "架",
    "helicopter": "架",
    "vehicle": "辆",
    "bridge": "座",
}


class Templates:
    """The sentences of one language."""

    def __init__(self, *, chinese: bool) -> None:
        self.chinese = chinese
        self._texts = CHINESE if chinese else ENGLISH

    def __call__(self, key: str, **values: object) -> str:
        """The template of that name with its placeholders filled."""
        return self._texts[key].format(**values)

    def number(self, count: int, target: str | None) -> str:
        """A number of objects of a class; None means objects of any class."""
        if self.chinese:
            return f"{count} {_MEASURES.get(target or '', '个')}{self.name(target)}"
        return f"{count} {self.name(target, many=count != 1)}"

    def name(self, target: str | None, *, many: bool = False) -> str:
        """The name of a class in this language."""
        name = target if target not in (None, "any") else "object"
        if self.chinese:
            return "目标" if name == "object" else chinese_name(str(name))
        return plural(str(name)) if many else str(name)

    def place(self, finding: Finding) -> str:
        """The centre of a finding: latitude and longitude, or pixels in a plain image."""
        lon, lat = finding.properties.get("lon"), finding.properties.get("lat")
        if isinstance(lon, float) and isinstance(lat, float):
            return f"{abs(lat):.5f}° {'NS'[lat < 0]}, {abs(lon):.5f}° {'EW'[lon < 0]}"
        box = finding.box
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        return f"({x:.0f}, {y:.0f}) px"

    def size(self, finding: Finding) -> str:
        """Length and width of a detection in metres; empty in a plain image."""
        length, width = finding.properties.get("length_m"), finding.properties.get("width_m")
        return self("size", length=length, width=width) if length is not None else ""

    def confidence(self, finding: Finding) -> str:
        """The calibrated probability of being right; empty where the checkpoint has no calibration."""
        share = finding.properties.get("confidence")
        return self("confidence", share=share) if isinstance(share, float) else ""

    def provenance(self, run: Run) -> str:
        """The last line of every answer: its model, its prior, and what of them is a demonstration or simulated."""
        prior = self("no prior")
        if run.prior != "none":
            year = f" {run.prior_year}" if run.prior_year else ""
            simulated = self("simulated prior") if run.prior_simulated else ""
            prior = self("prior", source=run.prior, year=year, simulated=simulated)
        return self(
            "model",
            model=run.model,
            demonstration=self("demonstration") if run.demonstration else "",
            prior=prior,
            simulated=self("simulated") if run.scene_simulated else "",
        )
