"""The words, English and Chinese, that ask for a task, and those that change nothing about what is asked.

All are matched against casefolded text in which ``CLASS`` stands for every class.
"""

from __future__ import annotations

import re

from fusar_gpt.contract import Task
from fusar_gpt.tasks.vocabulary import CLASS

# What comes before a command: the start of a clause, or a word such as "please".
_COMMAND = r"(?:^|[.;:!?,] *|\b(?:to|please|(?:can|could|would|will) you|and|then|now|just|also|help me) +)"
_OBJECT = r"(?:ones?|objects?|targets?|findings?|detections?|of (?:them|these|those))"
RANKS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
DIGITS = "一二三四五六七八九十"
_UNIT = "[个個艘架只隻条條辆輛座处處]"
_SIZES = (
    r"\bhow (?:long|wide|big|large)\b|\b(?:sizes?|lengths?|widths?|dimensions?|positions?|locations?|coordinates?)\b"
    r"|多[长長大宽寬]|[长長宽寬]度|尺寸|大小|坐标|座標"
)
"""What is known of every detection."""

SIZES = re.compile(_SIZES)
IS_IT = re.compile(
    rf"\bis (?:it|this|that) an? +{CLASS}(?: +or(?: an?)? +{CLASS})*"
    rf"|[这這那它](?:一?[个個些])?是(?:不是)? *{CLASS}(?: *(?:还是|還是|或者?) *{CLASS})*"
)
RULES: tuple[tuple[Task, re.Pattern[str]], ...] = (
    (Task.CLASSIFY, IS_IT),
    (
        Task.COUNT,
        re.compile(
            r"\bhow many\b|\b(?:what(?:'s| is)? )?(?:the )?(?:total )?(?:number|count|tally) of\b"
            rf"|{_COMMAND}(?:re)?count\b|{CLASS} +counts?\b"
            rf"|\b(?:are|is) there\b|\b(?:is|are) any\b|\bany(?= +{CLASS}|\b[^.?!]*\bhere\b)"
            rf"|\b(?:do|can|could) (?:you|we|i)(?= [^.?!]*\bsee\b[^.?!]*{CLASS})"
            rf"|\bdoes\b(?=[^.?!]*\b(?:contain|hold|have|show|include)\b[^.?!]*{CLASS})"
            rf"|多少|[几幾]{_UNIT}|[几幾](?= *{CLASS})|有[几幾]"
            rf"|[数數](?:一[数數]|一?下|[数數])|^[请請]?[数數](?= *{CLASS})"
            r"|[计計][数數]|[统統][计計]|清[点點]|[数數]量|有[没沒]有|有[无無]|是否有"
            rf"|^(?=.*{CLASS}.*[吗嗎]\W*$)"
        ),
    ),
    (
        Task.LOCATE,
        re.compile(
            r"\b(?:which|what) (?:grid )?(?:cells?|parts?|squares?|tiles?)\b|\bgrid(?: cells?)?\b|\bcells\b"
            rf"|{_COMMAND}locate\b|\b3 ?[x\u00d7] ?3\b"
            r"|[哪那][一些个個几幾]*(?:个|個)?(?:格子?|网格|網格|方格|区域|區域)|九宫格|九宮格|网格|網格|格子|定位"
        ),
    ),
    (
        Task.DETECT,
        re.compile(
            rf"\bwhere\b|{_COMMAND}(?:detect|find|search for|look for|spot|show|point out|mark|outline|highlight"
            rf"|list|draw|box)\b|{_COMMAND}identify\b(?=[^.?!]*{CLASS})"
            rf"|\b(?:which|what) +{CLASS} +(?:are|can|do)\b(?! (?:this|that|these|those))"
            rf"|\b(?:draw )?(?:bounding )?boxes (?:around|of)\b|\bbounding boxes\b|\bdetections?\b|{_SIZES}"
            rf"|[识識][别別](?=.*{CLASS})"
            r"|在哪[里裡儿兒]?|哪[里裡儿兒]|位置|[检檢][测測]|找[出到]|找一下|寻找|尋找|[标標]出|[标標][注註]|圈出|框出|[显顯]示|列出|指出"
        ),
    ),
    (
        Task.CLASSIFY,
        re.compile(
            rf"\bwhat(?:'s| is| are) (?:it|this|that|these|those|they)\b(?! (?:about|for|doing))"
            rf"|{_COMMAND}(?:classify|identify)\b|\b(?:what|which) (?:kind|type|sort|class|category)\b"
            rf"|[这這那它]?{_UNIT}?(?:目标|目標|物体|物體)?是什[么麼](?:[类類][型别別]|[种種][类類])?|什[么麼][类類][型别別]|哪[种種类類]|分[类類]|[识識][别別]"
        ),
    ),
    (
        Task.DESCRIBE,
        re.compile(
            rf"{_COMMAND}(?:describe|summari[sz]e|caption)\b|\b(?:description|overview|summary|caption)\b"
            r"|\bwhat (?:do|can) (?:you|we|i) see\b|\bwhat (?:you|we|i) (?:can )?see\b"
            r"|\bwhat(?:'s| is) (?:in|here|there|shown|visible)\b"
            r"|\btell me about (?=this|the (?:area|scene|image))"
            r"|描述|概括|概述|介[绍紹]|[说說]明一下|看到(?:了)?什[么麼]|有(?:些)?什[么麼]|[总總][结結]"
        ),
    ),
)
PICKS = re.compile(
    rf"\b(?P<rank>{'|'.join(RANKS)}|last|[0-9]{{1,3}}(?:st|nd|rd|th))(?= +(?:{_OBJECT})\b| *[.?!]*$)"
    rf"|(?:\b(?:number|no\.?|{_OBJECT}) *#?|#) *(?P<number>[0-9]{{1,3}})\b"
    r"|\b(?P<large>largest|biggest|longest)\b|\b(?P<small>smallest|shortest|tiniest)\b"
    rf"|第(?P<zh>[{DIGITS}]|[0-9]{{1,3}})(?={_UNIT}|[^\w]|是|在|$)|(?P<zh_last>最[后後]一?{_UNIT})"
    r"|(?P<zh_large>最[大长長])|(?P<zh_small>最[小短])"
)
KIND = re.compile(
    rf"\bwhat(?:'s| is| are)\b(?! (?:the )?(?:{_SIZES}))|\b(?:kind|type|sort|class|category)\b"
    r"|\b(?:classify|identify)\b|是什[么麼]|[类類]型|哪[种種类類]|分[类類]|[识識][别別]"
)
TYPE = re.compile(r"\b(?:kind|type|sort|class|category)\b|[类類]型|哪[种種类類]|什[么麼](?:类|類)")
PICKED = re.compile(rf"{PICKS.pattern}|{KIND.pattern}|\bwhich(?: is)?\b|什[么麼]|哪{_UNIT}")
"""Words of a question about a single object, besides those that classify and detect."""
PRONOUN = re.compile(
    r"\b(?:they|them|their|it|its|these|those|this|that|ones?|objects?|targets?)\b|[它这這那]"
)

AGAIN = re.compile(r"^(?:and|what about|how about|also|now|then|the|any|or)\b|^(?:那|那么|还有|還有|以及)|呢")
NOUN = re.compile(
    rf"\b(?:how many|(?:number|count) of|(?:is|are) there|{_COMMAND}(?:count|locate|detect|find))"
    r"(?: (?:an?|all|the|any|some|every|of|these|those|more|other))* (?P<noun>[a-z][a-z-]{2,30})"
)
NO_NOUN = re.compile(
    "are|is|was|were|do|does|did|can|could|there|here|they|them|these|those|this|that|each|(?:any|some|every)thing"
    "|(?:object|target|thing|item|one)s?|else|where|what|which|with|and|you|have|has|in|on|at|within|inside"
)
_HARMLESS = """
a an the any some all every both whole entire full of in on at within inside over across throughout for to from with
and or so also then now currently here there this that these those it its they them their be is are was were do does
did can could would you we i us me my our your please kindly just tell whether if give let know want need like help
say see look have has detect find spot identify hold holds contain contains include includes show shows appear exist
think total altogether overall exactly approximately roughly about briefly brief short detail detailed image images
imagery picture photo screen scene area region view map frame chip tile footprint aoi polygon place site spot location
sar radar satellite visible seen shown present detected found located identified spotted observed displayed one ones
object objects target targets thing things item items anything something everything thanks thank hello hi hey ok okay
s
"""
_HARMLESS_CHINESE = """
请问 請問 [请請] [帮幫](?:我|忙) 麻[烦煩] 可以 可否 能否 能不能 是否 告[诉訴] [给給]出? 看[看到得]*[见見]? 可[见見]
影像 内容 內容 [图圖][像片] [图圖] [画畫]面 [场場]景 [区區]域 [范範][围圍] 地[方区區] 此[处處] [这這那][里裡儿兒]
[里裡]面 海面 水面 一共 [总總]共 共有 合[计計] 全部 所有 [现現]在 目前 [当當]前 目[标標] 物[体體] [对對]象 出[现現]
存在 [发發][现現] [它他][们們] 一下 出[来來] 以及 [还還]是 或者 [还還]有 大概 大[约約] 雷[达達]
[你您我能该該本张張幅]
[里裡中内內上这這那此个個些片共都是有在的了着吗嗎呢吧啊呀么麼和与與及或它把并並各框]|位[于於]|[将將](?=[目这這它])
"""


def _any(words: str) -> str:
    """A pattern of the words of a text."""
    return re.sub(r"\s+", "|", words.strip())


HARMLESS = re.compile(
    r"\b(?:(?:in|on) (?:the|this|that) (?:water|sea)|in this (?:bay|strait|channel|river|lake)|(?:what|how) about"
    r"|what(?:'s| is| are) (?:the|their|its)|right now|around here|(?:area|region) of interest"
    r"|at (?:present|the moment)|or not"
    rf"|{_any(_HARMLESS)})\b|{_any(_HARMLESS_CHINESE)}|[将將](?= *{CLASS})|一?{_UNIT}|{CLASS}",
    re.ASCII,  # "SAR" ends where Chinese begins
)
"""Words that ask for nothing that the answer to the task would lack: the image and its area, courtesies, auxiliaries.

Whatever is neither these nor a task nor a class limits or adds to what is asked, and may not be passed over.
"""
