"""The words of brief sub-texts (``brief``) in English and in Chinese."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from fusar_train.corpus.texts.brief import Statement
from fusar_train.corpus.texts.wording import NUMBERS, Chooser, nouns, variants

Words = Mapping[str, tuple[str, ...]]


class Language(ABC):
    """How statements are told in one language.

    Attributes:
        phrases: Ways to tell each kind of statement; "[a|b]" are alternatives, "<is|are>" is for one or several.
        terms: Ways to call each term; one that is missing is told as it is.
        between: What stands between the statements of a sub-text.
    """

    phrases: ClassVar[Words]
    terms: ClassVar[Words]
    between: ClassVar[str]

    def told(self, statements: Iterable[Statement], choose: Chooser) -> str:
        """The statements of one sub-text."""
        return self.between.join(self._told(one, choose) for one in statements)

    def _told(self, one: Statement, choose: Chooser) -> str:
        phrase = choose.of(variants(choose.of(self.phrases[one.kind]), one.count > 1))
        words = {name: self.term(name, word, choose) for name, word in one.words.items()}
        if one.label:
            words["targets"] = self.targets(one, choose)
        return phrase.format(**words)

    def term(self, name: str, word: str, choose: Chooser) -> str:
        """A word of a statement."""
        return choose.of(self.terms.get(word, (word,)))

    @abstractmethod
    def targets(self, one: Statement, choose: Chooser) -> str:
        """What the targets of a statement are called."""


class English(Language):
    """English, in lower case and without full stops, as searches are typed."""

    between = ", "
    phrases: ClassVar[Words] = {
        "count": ("{n} {targets}", "{n} {targets} in view", "there <is|are> {n} {targets}"),
        "about": ("about {n} {targets}", "[some|around] {n} {targets}", "many {targets}, about {n}"),
        "least": ("at least {n} {targets}",),
        "none": ("no {targets}", "without {targets}", "no {targets} in view"),
        "located": ("{targets} {area}", "the {targets} <is|are> {area}"),
        "lies across": ("{targets} lying across", "{targets} pointing left and right"),
        "lies upright": ("{targets} lying upright", "{targets} pointing up and down"),
        "lies compact": ("compact {targets}", "{targets} of compact shape"),
        "lies point": ("{targets} like points", "tiny bright {targets}"),
        "lies mixed": ("{targets} pointing in different directions", "{targets} of mixed directions"),
        "size small": ("small {targets}", "{targets} of small size", "short {targets}"),
        "size medium": ("medium-sized {targets}", "{targets} of medium size"),
        "size large": ("large {targets}", "{targets} of large size", "long {targets}"),
        "category": ("{targets}", "{targets} in view", "{targets} in the scene"),
        "fine": ("type {fine}", "{targets} of type {fine}"),
        "no targets": ("nothing to be found", "no targets", "an empty scene"),
        "lie single": ("a single {targets}", "one {targets} alone", "a lone {targets}"),
        "lie pair": ("a pair of {targets}", "two {targets} together"),
        "lie row": ("{targets} in a row", "a line of {targets}", "{targets} parked in line"),
        "lie cluster": ("{targets} close together", "a cluster of {targets}", "a dense group of {targets}"),
        "lie scattered": ("scattered {targets}", "{targets} far apart", "{targets} spread out"),
        "place": ("{place}", "this is {place}", "a view of {place}"),
        "shore inshore": ("inshore", "near the shore"),
        "shore offshore": ("offshore", "far from the shore"),
        "around": (
            "{targets} [on|in] {cover}",
            "{targets} beside {cover}",
            "{targets} surrounded by {cover}",
        ),
        "surroundings": ("{cover} all around", "surrounded by {cover}", "an area of {cover}"),
        "one cover": ("mostly {cover}", "nothing but {cover}", "{cover}"),
        "two covers": ("mostly {cover}, [some|then] {other}", "{cover} and {other}", "{cover} with {other}"),
        "use": ("used for {use}", "{use}", "it serves {use}"),
        "covers": ("{cover} {area}", "{cover}, {area}"),
        "leads everywhere": ("{cover} nearly everywhere", "{cover} in nearly all parts"),
        "leads most": ("{cover} in most parts", "largely {cover}"),
        "leads half": ("{cover} in about half of the parts", "half of it {cover}"),
        "leads patchwork": ("a patchwork with {cover}", "many kinds of ground, most of it {cover}"),
        "no boundary": ("no boundary", "only {cover}, no boundary"),
        "side to the left of": ("{cover} left of {other}", "{other} right of {cover}"),
        "side to the right of": ("{cover} right of {other}", "{other} left of {cover}"),
        "side above": ("{cover} above {other}", "{other} below {cover}"),
        "side below": ("{cover} below {other}", "{other} above {cover}"),
        "side beside": ("{cover} beside {other}", "{cover} borders on {other}", "{other} next to {cover}"),
        "amount little": ("a bit of {cover} {area}", "hardly any {cover}, {area}"),
        "amount some": ("some {cover} {area}", "{cover}, {area}"),
        "amount much": ("much {cover} {area}", "large areas of {cover}, {area}"),
        "no cover": ("no {cover}", "without {cover}"),
    }
    terms: ClassVar[Words] = {
        "upper left": ("in the upper left", "in the upper left corner"),
        "upper middle": ("in the upper middle", "at the top, in the middle"),
        "upper right": ("in the upper right", "in the upper right corner"),
        "left middle": ("in the middle left", "on the left, half way down"),
        "centre": ("in the centre", "in the middle"),
        "right middle": ("in the middle right", "on the right, half way down"),
        "lower left": ("in the lower left", "in the lower left corner"),
        "lower middle": ("in the lower middle", "at the bottom, in the middle"),
        "lower right": ("in the lower right", "in the lower right corner"),
        "top": ("at the top", "along the top"),
        "middle row": ("across the middle",),
        "bottom": ("at the bottom", "along the bottom"),
        "left edge": ("on the left", "along the left edge"),
        "middle column": ("down the middle",),
        "right edge": ("on the right", "along the right edge"),
        "upper left part": ("in the upper left part", "towards the upper left"),
        "upper right part": ("in the upper right part", "towards the upper right"),
        "lower left part": ("in the lower left part", "towards the lower left"),
        "lower right part": ("in the lower right part", "towards the lower right"),
        "upper part": ("in the upper part", "in the upper two thirds"),
        "lower part": ("in the lower part", "in the lower two thirds"),
        "left part": ("in the left part", "in the left two thirds"),
        "right part": ("in the right part", "in the right two thirds"),
        "all over": ("all over the image", "everywhere"),
        "open sea": ("open sea", "the open sea", "the ocean"),
        "coast": ("a coast", "a coastline", "the shore"),
        "port": ("a port", "a harbour"),
        "airfield": ("an airfield", "an airport", "an airfield with a runway"),
        "river": ("a river", "a river with its banks"),
        "inland": ("inland countryside", "open country", "inland"),
        "water": ("water", "open water"),
        "smooth dark surfaces": ("smooth dark surfaces", "calm water or smooth ground"),
        "smooth ground": ("smooth ground", "paved ground"),
        "trees": ("trees", "forest", "woods"),
        "grass": ("grass", "meadows"),
        "wetland": ("wetland", "marsh"),
        "crops": ("crops", "fields", "farmland"),
        "shrubland": ("shrubland", "shrubs"),
        "built-up land": ("built-up land", "buildings", "houses"),
        "bare ground": ("bare ground", "bare soil"),
        "quays": ("quays", "docks"),
        "roads": ("roads", "paved strips"),
    }

    def term(self, name: str, word: str, choose: Chooser) -> str:
        """As ``Language.term``; numbers in digits or in a word."""
        if name == "n" and int(word) < len(NUMBERS):
            return choose.of((word, NUMBERS[int(word)]))
        if name == "place" and word not in self.terms:
            return choose.of((word, f"the {word}"))
        return super().term(name, word, choose)

    def targets(self, one: Statement, choose: Chooser) -> str:
        """Singular or plural, with synonyms for ships and planes."""
        return nouns(one.label, False, choose)[one.count > 1]


class Chinese(Language):
    """Chinese."""

    between = ","
    phrases: ClassVar[Words] = {
        "count": ("{n}{targets}", "有{n}{targets}", "共{n}{targets}"),
        "about": ("约{n}{targets}", "大约有{n}{targets}"),
        "least": ("至少{n}{targets}",),
        "none": ("没有{targets}", "无{targets}", "看不到{targets}"),
        "located": ("{targets}[在|位于]{area}", "{area}有{targets}"),
        "lies across": ("横向的{targets}", "{targets}左右朝向"),
        "lies upright": ("纵向的{targets}", "{targets}上下朝向"),
        "lies compact": ("形状紧凑的{targets}", "{targets}轮廓紧凑"),
        "lies point": ("点状的{targets}", "{targets}是小亮点"),
        "lies mixed": ("{targets}朝向各异", "朝向不一的{targets}"),
        "size small": ("小型{targets}", "较小的{targets}"),
        "size medium": ("中型{targets}", "中等大小的{targets}"),
        "size large": ("大型{targets}", "较大的{targets}"),
        "category": ("{targets}", "图中有{targets}", "可见{targets}"),
        "fine": ("{fine}型", "{targets}型号为{fine}"),
        "no targets": ("没有目标", "空场景"),
        "lie single": ("单个{targets}", "{targets}只有一个"),
        "lie pair": ("一对{targets}", "两个{targets}在一起"),
        "lie row": ("{targets}排成一行", "成排的{targets}"),
        "lie cluster": ("{targets}聚集", "密集的{targets}"),
        "lie scattered": ("{targets}分散", "分散的{targets}"),
        "place": ("{place}", "这是{place}", "{place}景象"),
        "shore inshore": ("近岸",),
        "shore offshore": ("离岸",),
        "around": ("{targets}周围是{cover}", "{cover}[旁|上]的{targets}"),
        "surroundings": ("周围是{cover}", "一片{cover}"),
        "one cover": ("主要是{cover}", "全是{cover}", "{cover}"),
        "two covers": ("主要是{cover},其次是{other}", "{cover}和{other}"),
        "use": ("用于{use}", "{use}"),
        "covers": ("{cover}[在|位于]{area}", "{area}是{cover}"),
        "leads everywhere": ("几乎到处是{cover}", "{cover}遍布各处"),
        "leads most": ("大部分是{cover}", "{cover}占大部分"),
        "leads half": ("约一半是{cover}", "{cover}占一半"),
        "leads patchwork": ("地类混杂,以{cover}为主",),
        "no boundary": ("没有边界", "只有{cover},没有边界"),
        "side to the left of": ("{cover}在{other}左边", "{other}在{cover}右边"),
        "side to the right of": ("{cover}在{other}右边", "{other}在{cover}左边"),
        "side above": ("{cover}在{other}上方", "{other}在{cover}下方"),
        "side below": ("{cover}在{other}下方", "{other}在{cover}上方"),
        "side beside": ("{cover}紧邻{other}", "{cover}与{other}相接"),
        "amount little": ("{area}有少量{cover}", "少许{cover},{area}"),
        "amount some": ("{area}有一些{cover}", "一些{cover},{area}"),
        "amount much": ("{area}有大片{cover}", "大量{cover},{area}"),
        "no cover": ("没有{cover}", "无{cover}"),
    }
    terms: ClassVar[Words] = {
        "ship": ("船", "船只", "舰船"),
        "plane": ("飞机",),
        "upper left": ("左上角", "左上"),
        "upper middle": ("上方中间", "中上"),
        "upper right": ("右上角", "右上"),
        "left middle": ("左侧中间", "左中"),
        "centre": ("中央", "中心"),
        "right middle": ("右侧中间", "右中"),
        "lower left": ("左下角", "左下"),
        "lower middle": ("下方中间", "中下"),
        "lower right": ("右下角", "右下"),
        "top": ("顶部", "最上方"),
        "middle row": ("中间一行", "横向中部"),
        "bottom": ("底部", "最下方"),
        "left edge": ("左边", "左侧边缘"),
        "middle column": ("中间一列", "纵向中部"),
        "right edge": ("右边", "右侧边缘"),
        "upper left part": ("左上部",),
        "upper right part": ("右上部",),
        "lower left part": ("左下部",),
        "lower right part": ("右下部",),
        "upper part": ("上部", "上面三分之二"),
        "lower part": ("下部", "下面三分之二"),
        "left part": ("左部", "左面三分之二"),
        "right part": ("右部", "右面三分之二"),
        "all over": ("各处", "整幅图"),
        "open sea": ("开阔海面", "大海", "海上"),
        "coast": ("海岸", "岸边"),
        "port": ("港口", "港湾"),
        "airfield": ("机场", "有跑道的机场"),
        "river": ("河流", "河道"),
        "inland": ("内陆", "乡村"),
        "shipping": ("航运",),
        "air traffic": ("航空", "航空运输"),
        "farming": ("农业", "耕作"),
        "settlement, industry or traffic": ("居住或工业", "居民区或交通"),
        "water": ("水面", "水域"),
        "smooth dark surfaces": ("平滑暗区", "静水或平整地面"),
        "smooth ground": ("平整地面", "铺装地面"),
        "trees": ("树木", "树林", "森林"),
        "grass": ("草地",),
        "wetland": ("湿地", "沼泽"),
        "crops": ("农田", "耕地"),
        "shrubland": ("灌木", "灌丛"),
        "built-up land": ("建筑区", "建筑", "房屋"),
        "bare ground": ("裸地", "裸土"),
        "quays": ("码头",),
        "roads": ("道路", "公路"),
        "land": ("陆地",),
        "other ground": ("其他地面",),
    }
    _MEASURES: ClassVar[Words] = {"ship": ("艘", "条"), "plane": ("架",)}
    _NUMERALS = ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九")

    def term(self, name: str, word: str, choose: Chooser) -> str:
        """As ``Language.term``; numbers in digits or as a numeral."""
        if name == "n" and int(word) < len(self._NUMERALS):
            return choose.of((word, self._NUMERALS[int(word)]))
        return super().term(name, word, choose)

    def targets(self, one: Statement, choose: Chooser) -> str:
        """With its measure word after a number."""
        name = choose.of(self.terms.get(one.label, (one.label,)))
        measure = choose.of(self._MEASURES.get(one.label, ("个",))) if "n" in one.words else ""
        return measure + name


LANGUAGES: Mapping[str, Language] = {"en": English(), "zh": Chinese()}
"""By their code."""
