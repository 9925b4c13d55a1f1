"""Which questions ask for places of a scene, rather than for objects or words about an area. English and Chinese.

Small rules and no model, as in :mod:`fusar_gpt.tasks.questions`. A question is a search where it

1. asks for places and says what they are like: "find places (areas, scenes, spots...) like (with, where...) three
   ships in a harbour", "找有很多船的地方", "找类似三艘船在港口的场景";
2. asks for more of what the conversation is about: "where else does it look like this?", "more like this",
   "还有类似的地方吗";
3. says "search for" or "look for", or "搜索" or "找", and then what lies where, and is not understood as a task:
   "search for aircraft beside a runway", "找一找有很多船的港口".

So "find ships", "search for ships", "search for ships in the harbour", "where are the ships?", "找出船的位置" and
"找一下船" stay detections; and whatever asks for a number, such as "how many places like this?", is no search.
"""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import re
from dataclasses import dataclass

from fusar_gpt.contract import Task
from fusar_gpt.tasks.questions import normalised, understand
from fusar_gpt.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class PlaceQuestion:
    """What to find: places that are like ``words``; None: like what the conversation is about."""

    words: str | None


LONGEST = 400
"""The most characters of a question that is taken for a search: the patterns look at it once for every start."""

_FLAGS = re.IGNORECASE
_START = (
    r"(?:^|[.;:!?,] *)(?:(?:please|(?:can|could|would|will) you|i(?:'d| would)? (?:want|like|need)(?: you)? to"
    r"|now|then|and|just|also|help me|hello|hi|ok|okay),? +){0,4}"
)
_SEARCH = (
    r"(?:search(?: +(?:in|through|over))?(?: +(?:the|this|that|whole|entire|image|scene|area|here)){0,4} +for"
    r"|look(?:ing)? +for)"
)
_ASKED = rf"(?:find|{_SEARCH}|show(?: +me)?|list|give +me|get +me|are +there|is +there|where +(?:are|is))"
_SOME = (
    r"(?:(?:me|us|there|all|the|any|some|every|other|more|further|few|several|best|most|top|[0-9]{1,3}|three|five|ten"
    r"|twenty) +){0,4}"
)
_MANY = r"(?:places|areas|scenes|spots|locations|sites|regions)"
_ONE = (
    r"(?:(?:an?|another|any|some) +(?:other +|similar +)?(?:place|area|scene|spot|location|site|region)"
    r"|some ?where|any ?where)"
)
_THIS = r"(?:this|that|it|here|these|those)(?: +(?:one|place|area|spot|scene|site|location|region|object|finding)s?)?"
_LIKE = (
    r"(?:(?:that|which) +(?:are|is|looks?|seems?) +)?(?:(?:just|exactly|very|most|more) +)?"
    r"(?:like|look(?:s|ing)? +like|similar +to|resembling|alike)"
)
_LINK = (
    rf"(?:{_LIKE}|with|where|in +which|that|which|containing|holding|having|showing|of"
    r"|(?=near\b|beside\b|next +to\b))"
)
_RELATION = re.compile(
    r"\b(?:besides?|next +to|near|nearby|along|alongside|around|between|behind|by|under|over|above|across|within"
    r"|inside|in|on|at|with|without|where|surrounded|close +to)\b",
    _FLAGS,
)
_ASIDE = (
    r"(?: *,?\b(?:please|thanks|thank you|too|as well|also|elsewhere|in +(?:this|the) +(?:image|scene|picture|area)))"
    r"{0,4}[\s.?!]*$"
)
_SEARCH_CHINESE = r"(?:找|[寻尋]找|搜[索寻尋]?|[查检檢][找索])(?:一?[找搜下些]|出|到){0,2}"
_ALIKE = "(?:像|[类類]似|相似|一[样樣])"

_LIKE_THIS = re.compile(
    rf"\bwhere +else\b.*\b(?:like +{_THIS}|similar|the +same|such)"
    rf"|\b(?:more|others?|else|elsewhere|anything|something)\b[^.?!]*\b(?:like|similar +to|resembl\w+) +{_THIS}{_ASIDE}"
    rf"|{_START}{_ASKED} +{_SOME}(?:similar|alike|comparable) +(?:{_MANY}|ones){_ASIDE}"
    rf"|{_START}{_ASKED} +(?:{_SOME}{_MANY}|{_ONE}) +{_LIKE} +{_THIS}{_ASIDE}"
    rf"|(?:[还還]有|别[处處]|別處|其[他它]).*(?:{_ALIKE}|[这這]样|這樣|相同)"
    rf"|(?:哪[里裡儿兒]|何[处處]|什[么麼]地方).*(?:{_ALIKE}.*(?:[这這此它]|的)|[这這此它].*{_ALIKE})"
    r"|(?:像|[和跟与與同])(?:[这這](?:[里裡个個样樣儿兒片]|[张張]图)?|此[处處]|它)(?:一[样樣]|[类類]似|相似|相像)?的"
    rf"|^(?:[请請帮幫我给給]|更多|{_SEARCH_CHINESE}|所有){{0,6}}(?:[类類]似|相似)(?:的|$)",
    _FLAGS,
)
_PLACES = re.compile(
    rf"{_START}{_ASKED} +(?:{_SOME}(?:similar +)?{_MANY}|{_ONE}) +{_LINK} *\b(?P<words>.+?){_ASIDE}", _FLAGS
)
_PLACES_CHINESE = re.compile(
    rf"(?:{_SEARCH_CHINESE}|列出|[显顯]示|[给給]我看)(?:所有|全部|[几幾][個个處处])?"
    r"(?P<words>.+?)的?(?:地[方带帶点點]|[区區]域|[场場]景|场所|場所)[吧吗嗎呢]?[\s。.?？!！]*$"
)
_SEARCHED = re.compile(rf"{_START}{_SEARCH} +(?P<words>.+?){_ASIDE}", _FLAGS)
_SEARCHED_CHINESE = re.compile(
    rf"^(?:[请請帮幫我给給]|麻[烦煩]|一下){{0,6}}{_SEARCH_CHINESE}"
    r"(?P<words>(?:(?<![所没沒還还只])有|像|[类類]似|靠近|[临臨]近|[带帶]有|停[着著满滿有]|在).+的.+?)[\s。.?？!！]*$"
)
_LIKENESS = re.compile(
    r"^(?:像|[类類]似[于於]?|[和跟与與](?=.*(?:相似|[类類]似|一[样樣])))|(?:一[样樣]|相似|[类類]似|那[样樣])$"
)
_COUNT = re.compile(
    r"\bhow +many\b|\b(?:re)?count\b|\b(?:number|tally) +of\b"
    r"|多少|[几幾](?:[个個处處艘架]|[种種])|[数數计計][数數量]|[数數]一",
    _FLAGS,
)
_POSITIONS = re.compile(r"^(?:.* )?locations +of\b|\b(?:area|region)s? +of +interest\b", _FLAGS)
"""Where objects are, which detections say; and what is no likeness."""


def place_question(text: str, vocabulary: Vocabulary) -> PlaceQuestion | None:
    """What a question searches for; None where it is no search.

    Args:
        text: What the analyst says.
        vocabulary: The classes of the checkpoint that answers other questions.
    """
    said = " ".join(normalised(text).replace("\u2019", "'").split())
    if len(said) > LONGEST or _COUNT.search(said) or _POSITIONS.search(said):
        return None
    if _LIKE_THIS.search(said):
        return PlaceQuestion(None)
    if found := _PLACES.search(said) or _PLACES_CHINESE.search(said):
        return _question(found["words"])
    if understand([text], vocabulary).task is not Task.ASK:
        return None
    if (found := _SEARCHED.search(said)) and _RELATION.search(found["words"]):
        return _question(found["words"])
    found = _SEARCHED_CHINESE.search(said)
    return _question(found["words"]) if found else None


def _question(words: str) -> PlaceQuestion | None:
    """The words without what only says that they are a likeness."""
    bare = _LIKENESS.sub("", words.strip(" \"'“”‘’,.?!。？！，、")).strip(" \"'“”‘’")
    return PlaceQuestion(bare) if bare else None
