"""What an analyst types in the words that an encoder knows: synonyms, one or several, and what it does not know.

Only an encoder with a list of its words is helped; of others nobody knows what they were taught.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fusar_gpt.retrieval.encoder import Encoder
from fusar_gpt.tasks.vocabulary import plural, singular

_SYNONYMS = tuple(
    tuple(line.split("|"))
    for line in (
        "ship|vessel|boat|tanker|freighter|ferry|trawler|barge|yacht|warship|container ship|aircraft carrier"
        "|船|船只|舰船|船舶|舰艇|轮船|货轮|油轮|游轮|渔船|军舰",
        "plane|aircraft|airplane|aeroplane|airliner|jet|飞机|客机|战机|战斗机",
        "port|harbour|harbor|seaport|marina|港口|港湾|海港|港",
        "dock|quay|pier|jetty|wharf|berth|码头|泊位|栈桥|船坞",
        "airport|airfield|aerodrome|airbase|air base|apron|机场|停机坪|机坪|航站楼",
        "runway|airstrip|taxiway|跑道|滑行道",
        "sea|ocean|大海|海面|海洋|海域",
        "coast|shore|coastline|seashore|beach|海岸|岸边|海滨|海滩|沙滩",
        "river|stream|creek|canal|河流|河道|溪流|运河",
        "water|lake|pond|lagoon|reservoir|水面|水域|湖泊|湖|池塘|水库",
        "tree|forest|woods|woodland|wood|jungle|森林|树林|树木|丛林",
        "field|farmland|cropland|crop|农田|耕地|田地|田野|庄稼|稻田",
        "grass|meadow|grassland|pasture|lawn|草地|草原|牧场",
        "shrub|shrubland|bush|scrub|灌木|灌丛",
        "marsh|wetland|swamp|bog|mangrove|沼泽|湿地|红树林",
        "building|house|建筑|房屋|建筑物|楼房|大楼",
        "settlement|town|city|village|suburb|urban|居民区|城市|城镇|城区|市区|村庄",
        "road|street|highway|motorway|道路|公路|街道|马路",
        "countryside|rural|乡村|农村",
        "soil|sand|dirt|裸土|沙地|荒地",
        "large|big|huge|大型|巨大",
        "small|little|tiny|小型|微小",
        "many|numerous|lots of|大量|许多|很多",
        "lone|lonely|solitary|孤零零|孤单",
        "dense|crowded|packed|密集|拥挤",
        "at least|no fewer than|no less than|至少",
        "at most|no more than|至多",
        "calm|still|quiet|静|平静",
        "beside|near|nearby|alongside|not far from|旁|附近|旁边",
        "centre|center|middle|中央|中心",
        "image|picture|photo|图",
        "one|1|一|单个",
        "two|2|两|二",
        "three|3|三",
        "four|4|四",
        "five|5|五",
        "six|6|六",
        "seven|7|七",
        "eight|8|八",
        "nine|9|九",
        "ten|10|十",
    )
)
"""Words that mean nearly the same, English ones as singulars; a word is read as the first that an encoder knows."""

_ENGLISH = (
    "a an the of in on at by to from for with and or but is are be it its this that these those there where which who "
    "what some any all i me we us can you please find show search look locate get give see want need like as such "
    "place places area areas view into very quite else no not without nor"
)
_CHINESE = "的了着过是有在里内和与及或请找出寻查搜索看很都也就把被这那哪些个只艘条架处吗呢吧任何没无"
_FUNCTION = frozenset([*_ENGLISH.split(), *_CHINESE])
"""Words that show nothing by themselves: nobody is told that an encoder does not know them."""

_SIMPLIFIED = str.maketrans(
    "機場飛車農樹碼頭築區陸靜無沒灣邊個條隻運處裡側線灘艦輪貨魚軍樓廠與門島橋綠鄉鎮開",
    "机场飞车农树码头筑区陆静无没湾边个条只运处里侧线滩舰轮货鱼军楼厂与门岛桥绿乡镇开",
)
_HAN = "\u3400-\u9fff\uf900-\ufaff"


def _forms() -> Iterator[tuple[str, tuple[int, bool]]]:
    for number, group in enumerate(_SYNONYMS):
        for word in group:
            if word.isascii() and word[0].isalpha():
                yield plural(word), (number, True)
            yield word, (number, False)


_GROUP_OF = dict(_forms())
"""By each word of ``_SYNONYMS``, one or several: the number of its group, and whether it is a plural."""
_PIECE = re.compile(
    "|".join(
        (rf"\b{re.escape(form)}\b" if form.isascii() else re.escape(form))
        for form in sorted(_GROUP_OF, key=len, reverse=True)
    )
    + rf"|[{_HAN}]|[^\W\d_{_HAN}]+|\d+|.",
    re.DOTALL,
)
_BETWEEN_CHINESE = re.compile(rf"(?<=[{_HAN}]) (?=[{_HAN}])")


@dataclass(frozen=True)
class Reading:
    """A text in the words of an encoder.

    Attributes:
        text: What it can look for; empty where it knows none of the words.
        replaced: Words that stand in it for others: (as typed, as read).
        unknown: Words that are left out.
    """

    text: str
    replaced: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()


def plain(text: str) -> str:
    """A text in small letters and simplified Chinese, without full-width forms, on one line."""
    folded = unicodedata.normalize("NFKC", text).replace("\u2019", "'").casefold().translate(_SIMPLIFIED)
    return " ".join(folded.split())


def in_known_words(text: str, encoder: Encoder) -> Reading:
    """A :func:`plain` text in the words that an encoder with a list of them knows."""
    said, replaced, unknown = [], dict[str, str](), list[str]()
    shows, end = False, -1
    for found in _PIECE.finditer(text):
        piece, read = found.group(), found.group()
        if piece[0].isalpha():
            read = next((word for word in _candidates(piece) if _knows(encoder, word)), "")
        elif not piece.isdigit() and piece not in ",-/":
            read = " "
        if read and read != piece and read != " ":
            replaced[piece] = read
            read = read if read.isascii() == piece.isascii() else f" {read} "
        elif not read and piece not in _FUNCTION and len(piece.encode()) > 1:
            if end == found.start() and not piece.isascii() and not unknown[-1].isascii():
                unknown[-1] += piece
            else:
                unknown.append(piece)
            end = found.end()
        shows = shows or bool(content(read))
        said.append(read or " ")
    known = _BETWEEN_CHINESE.sub("", " ".join("".join(said).split())).strip(" ,-/")
    return Reading(known if shows else "", tuple(replaced.items()), tuple(dict.fromkeys(unknown)))


def content(text: str) -> list[str]:
    """The words of a :func:`plain` text that show something; numbers alone do not."""
    return [piece for piece in _PIECE.findall(text) if piece[0].isalpha() and piece not in _FUNCTION]


def concepts(text: str) -> tuple[str, ...]:
    """What the words of a :func:`plain` text are about, each once, the same for synonyms in English and Chinese.

    Single Chinese characters are left out but for nouns: 飞机 and 机场 share one, and 一 of 一些 is no number.
    """
    found = dict[str, None]()
    for piece in _PIECE.findall(text.replace("two thirds", "")):
        if piece in _GROUP_OF and (piece.isascii() or len(piece) > 1 or piece in "船港湖"):
            found[_SYNONYMS[_GROUP_OF[piece][0]][0]] = None
        elif len(piece) > 1 and piece.isascii() and piece.isalpha() and piece not in _FUNCTION:
            found[singular(piece)] = None
    return tuple(found)


def examples(encoder: Encoder, chinese: bool, most: int = 8) -> Sequence[str]:
    """Some words that an encoder knows, in the language of a text where it knows any of that."""
    heads = (word for group in _SYNONYMS for word in group if word.isascii() != chinese)
    known = [word for word in heads if _knows(encoder, word)] or sorted(encoder.words)
    groups = {_GROUP_OF.get(word, (word, False))[0]: word for word in reversed(known)}
    return [groups[key] for key in reversed(groups)][:most]


def _candidates(word: str) -> Iterator[str]:
    """A word, its other forms, then its synonyms: those of its own script and number first."""
    yield word
    yield from _inflected(word)
    for form in (word, *_inflected(word)):
        if form in _GROUP_OF:
            number, many = _GROUP_OF[form]
            for other in sorted(_SYNONYMS[number], key=lambda one: one.isascii() != word.isascii()):
                yield from (plural(other), other) if many and other.isascii() else (other, plural(other))


def _inflected(word: str) -> Iterator[str]:
    if word.isascii() and len(word) > 2:
        yield from (singular(word), plural(word))
        yield from (word.removesuffix(end) for end in ("y", "ly", "ing", "ed") if word.endswith(end))
        yield from (f"{word}{end}" for end in ("ing", "ed"))


def _knows(encoder: Encoder, text: str) -> bool:
    words = encoder.words_of(text)
    return bool(words) and all(word in encoder.words for word in words)
