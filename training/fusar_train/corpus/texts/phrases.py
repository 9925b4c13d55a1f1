"""The phrasings of template sub-texts: clauses, where "[a|b]" are alternatives and "<is|are>" follows the number."""

from __future__ import annotations

Phrases = tuple[str, ...]

IMAGE = "[the image|the slice|this piece of the scene|the picture]"

# Targets

PRESENT: Phrases = (
    "there <is|are> {items} in " + IMAGE,
    IMAGE + " [shows|contains|holds] {items}",
    "{items} <is|are> [visible|in view|to be seen] here",
    "{items} can be [counted|made out|distinguished] in " + IMAGE,
)
NONE: Phrases = (
    "there <is|are> no {names} in " + IMAGE,
    "no {names} <is|are> [visible|in view|to be seen]",
    IMAGE + " [shows|contains|holds] no {names}",
    "not one {name} [is visible|can be made out|is in view]",
)
DOUBTFUL: Phrases = (
    "{items} may be {kind} [too|as well|or not]",
    "it is uncertain whether {items} <is|are> {kind}",
    "{items} could be {kind}, which is not certain",
    "there <is|are> {items} of which it is doubtful whether <it is|they are> {kind}",
)
LOCATED: Phrases = (
    "{subject} <lies|lie> {where}",
    "{subject} <is|are> [found|located|seen] {where}",
    "{where}, {subject} <is|are> [to be seen|to be found|in view]",
    "{subject} can be [found|seen] {where}",
)
SIZE_ONE: Phrases = (
    "{subject} measures about {width} across and {height} down " + IMAGE,
    "{subject} takes up about {width} from left to right and {height} from top to bottom",
    "the outline of {subject} is about {width} wide and {height} high",
    "{subject} fills a box about {width} wide and {height} high",
)
SIZE_SHARE: Phrases = (
    "{subject} spans about {width} of the width and {height} of the height of " + IMAGE,
    "{subject} takes up about {width} of " + IMAGE + " from left to right and {height} from top to bottom",
    "the outline of {subject} is about {width} of " + IMAGE + " wide and {height} of it high",
    "from left to right {subject} fills about {width} of " + IMAGE + ", from top to bottom {height}",
)
SIZE_SAME: Phrases = (
    "each of {subject} extends over about {low}",
    "{subject} are alike in size, about {low} each",
    "the longer side of the outlines of {subject} is about {low}",
    "the extent of {subject} is about {low} each",
)
SIZE_RANGE: Phrases = (
    "{subject} extend over about {low} to {high}",
    "the smallest of {subject} extends over about {low}, the largest over about {high}",
    "the longer sides of the outlines of {subject} [range|run] from about {low} to {high}",
    "in size, {subject} [range|vary] from about {low} to {high}",
)
SIZE_CLASS: Phrases = (
    "for its kind, it is {size}",
    "for {a_noun}, [this|that] is {size}",
    "it counts as {size} [for its kind|among its kind]",
    "it is {a_size} one [for its kind|as its kind goes]",
)
CUT_ONE: Phrases = (
    "it is cut off by the edge of " + IMAGE,
    "a part of it lies beyond the edge of " + IMAGE,
    "only a part of it is inside " + IMAGE,
    "the edge of " + IMAGE + " cuts through it",
)
CUT_SOME: Phrases = (
    "<one|some> of them <is|are> cut off by the edge of " + IMAGE,
    "<one|some> of them <reaches|reach> beyond the edge of " + IMAGE,
    "the edge of " + IMAGE + " cuts through <one|some> of them",
    "<one|some> of them <is|are> only partly inside " + IMAGE,
)
CATEGORY_ONE: Phrases = (
    "the [target|object] is {a_noun}",
    "the [target|object] in view is {a_noun}",
    "{a_noun} is the kind of target [present|seen here]",
    "the [target|object] belongs to the class {class_name}",
)
CATEGORY: Phrases = (
    "the [targets|objects|targets in view] are {kinds}",
    "{kinds} are [seen here|what is to be seen here]",
    "as to kind, the [targets|objects] are {kinds}",
    "by kind, the [targets|objects] are {kinds}",
)
CATEGORY_OPEN: Phrases = (
    "by [look|appearance] alone, <the target|the targets> may be {kinds}",
    "<the target looks|the targets look> like {kinds}",
    "to judge by <its|their> look, <the target|the targets> could be {kinds}",
    "<the target resembles|the targets resemble> {kinds}",
)
FINE: Phrases = (
    "the <type|types> of {subject} <is|are> {types}",
    "{subject} <is|are> of the <type|types> {types}",
    "by type, {subject} <counts|count> as {types}",
    "what {subject} <is|are> labelled as: {types}",
)
NO_TARGETS: Phrases = (
    "there are no targets of the <class|classes> {names}",
    "no target of the <class|classes> {names} is [visible|in view]",
    "targets of the <class|classes> {names} are [absent|not present]",
    IMAGE + " holds no target of the <class|classes> {names}",
)
ARRANGED: dict[str, Phrases] = {
    "single": (
        "{subject} [lies|is] [alone|on its own]",
        "{subject} has no other {noun} beside it",
        "there is [only this|just the one] {noun} [to be seen|in view]",
        "{subject} is [isolated|solitary]",
    ),
    "only one": (
        "{subject} is the only one of its kind",
        "{subject} has none of its kind beside it",
        "there is [only this|just the one] {noun} among the targets",
        "of its kind, {subject} is alone",
    ),
    "pair": (
        "{subject} form a pair",
        "{subject} are a pair",
        "the {nouns} in view are [just a|a] pair",
        "[only|just] a pair of {nouns} is there",
    ),
    "row": (
        "{subject} [lie|are] in a row",
        "{subject} form a line",
        "{subject} are lined up",
        "a [line|row] is formed by {subject}",
    ),
    "cluster": (
        "{subject} are [clustered|grouped] closely together",
        "{subject} form a [tight|close] group",
        "{subject} are concentrated in one part of " + IMAGE,
        "all of {subject} lie close together",
    ),
    "scattered": (
        "{subject} are scattered over " + IMAGE,
        "{subject} are spread out [without an evident order|in no evident order]",
        "{subject} lie [dispersed|scattered], neither in one row nor in one group",
        "the distribution of {subject} is [loose|scattered]",
    ),
}  # fmt: skip
SPACED: Phrases = (
    "neighbours are [typically|usually] about {distance} apart",
    "from one to the nearest other it is [typically|usually] about {distance}",
    "the distance to the nearest neighbour is [typically|usually] about {distance}",
    "they keep about {distance} from their nearest neighbours",
)
SPACED_PAIR: Phrases = (
    "they are about {distance} apart",
    "the distance between them is about {distance}",
    "about {distance} lies between their centres",
    "from one to the other it is about {distance}",
)
LIES: dict[str, str] = {
    "across": "elongated from left to right",
    "upright": "elongated from top to bottom",
    "compact": "compact or oblique",
    "point": "only points of a few pixels",
}
FEATURE: Phrases = (
    "the <outline|outlines> of {subject} <is|are> {form}",
    "{subject} <appears|appear> {form}",
    "in shape, {subject} <is|are> {form}",
    "{subject} <has an outline|have outlines> that <is|are> {form}",
)

# Ground

REGION: Phrases = (
    IMAGE + " shows {place}",
    "this is {place}",
    "the region is {place}",
    "what is seen here is {place}",
)
REGION_OPEN: Phrases = (
    IMAGE + " looks like {place}",
    "this looks like {place}",
    "the region [has the look of|resembles] {place}",
    "by its look, the region is {place}",
)
SHORE: dict[str, Phrases] = {
    "inshore": (
        "the scene lies inshore", "this is an inshore scene", "the shore is near", "the waters here are inshore waters",
    ),
    "offshore": (
        "the scene lies offshore", "this is an offshore scene", "it is a scene off the shore",
        "the waters here are offshore waters",
    ),
}  # fmt: skip
GROUND: Phrases = (
    "{it} [covers|spans] about {width} by {height} of ground",
    "the ground shown is about {width} by {height}",
    "the ground covered is about {width} wide and {height} high",
    "from left to right {it} [covers|spans] about {width}, from top to bottom {height}",
)
NO_DATA: Phrases = (
    "about {percent} % of it holds no data",
    "no data is there for about {percent} % of it",
    "about {percent} % of it is without data",
    "data is missing on about {percent} % of it",
)
AROUND: Phrases = (
    "around {subject} <is|are> [mainly|mostly] {covers}",
    "the surroundings of {subject} are [mainly|mostly] {covers}",
    "{subject} <has|have> [mainly|mostly] {covers} around <it|them>",
    "[mainly|mostly] {covers} <surrounds|surround> {subject}",
)
SURROUNDINGS: Phrases = (
    "the surroundings are [mainly|mostly] {covers}",
    "[mainly|mostly] {covers} <makes|make> up the surroundings",
    "the environment is [mainly|mostly] {covers}",
    "all around, it is [mainly|mostly] {covers}",
)
ALONGSIDE: Phrases = (
    "{built} <lies|lie> in the same part of " + IMAGE,
    "{built} <is|are> in the same part of " + IMAGE,
    "there <is|are> {built} nearby, in the same part of " + IMAGE,
    "{built} <shares|share> that part of " + IMAGE,
)
NEARLY_ALL: Phrases = (
    "nearly all of " + IMAGE + " is {cover}",
    "{cover} <covers|cover> nearly all of " + IMAGE,
    IMAGE + " is [almost nothing but|almost entirely] {cover}",
    "almost the whole of " + IMAGE + " is {cover}",
)
TERRAIN: Phrases = (
    "{cover} <covers|cover> {share} of " + IMAGE + "{rest}",
    "{cover} <prevails|prevail>, on {share} of " + IMAGE + "{rest}",
    "{share} of " + IMAGE + " is [covered by|taken up by] {cover}{rest}",
    "the [main|chief] land cover is {cover}, on {share} of " + IMAGE + "{rest}",
)
REST: Phrases = (", followed by {rest}", ", then {rest}", ", before {rest}", "; next [come|follow] {rest}")
FUNCTION: Phrases = (
    "the [area|place] serves {uses}",
    "what is seen here is used for {uses}",
    "the [function|purpose] of the area is {uses}",
    "the [area|place] is [given over to|used for] {uses}",
)
FUNCTION_OPEN: Phrases = (
    "the [area|place] seems to serve {uses}",
    "by its look, the [area|place] serves {uses}",
    "the [function|purpose] of the area seems to be {uses}",
    "the area is probably used for {uses}",
)
COVER_WHERE: Phrases = (
    "{cover} <lies|lie> {where}",
    "{cover} <is|are> found {where}",
    "{where} <is|are> {cover}",
    "{cover} <takes|take> up most room {where}",
)
COVER_MOST: Phrases = (
    "{cover} <is|are> [densest|most abundant] {where}",
    "{cover} <is|are> most frequent {where}",
    "the largest share of {the_cover} is {where}",
    "{cover} <reaches its|reach their> largest share {where}",
)
LAYOUT_ONE: Phrases = (
    "{cover} <prevails|prevail> in all nine parts of " + IMAGE,
    "one land cover, {cover}, dominates throughout",
    "in all nine parts of " + IMAGE + " {cover} <is|are> the main land cover",
    "the layout is uniform: {cover} <dominates|dominate> every part",
)
LAYOUT: Phrases = (
    "of the nine parts of " + IMAGE + ", {cover} <dominates|dominate> {leads}",
    "with " + IMAGE + " cut into nine parts, {cover} <leads|lead> {leads_in}",
    "in {n} of the nine parts of " + IMAGE + ", {cover} <prevails|prevail>, with {others}",
    "[by parts|part by part], {cover} <has|have> the largest share {leads_in}",
)
BOUNDARY: Phrases = (
    "the boundary between {one} and {other} runs {where}",
    "{one} and {other} meet {where}",
    "{one} and {other} border on each other {where}",
    "the edge between {one} and {other} is {where}",
)
BOUNDARY_SIDE: Phrases = (
    "{one} <lies|lie> {side} {other}",
    "{one} <is|are> {side} {other}",
    "seen in " + IMAGE + ", {one} <lies|lie> {side} {other}",
    "{one}, on the whole, <lies|lie> {side} {other}",
)
NO_BOUNDARY: Phrases = (
    "there is no boundary [worth naming|to speak of]: {cover} <fills|fill> nearly all of " + IMAGE,
    "no boundary [is seen|stands out], as {cover} <covers|cover> nearly everything",
    "{cover} <extends|extend> over nearly all of " + IMAGE + " without a boundary",
    "nearly all is {cover}, so there is no boundary between land covers",
)
COVERED: Phrases = (
    "{cover} <covers|cover> {share} of " + IMAGE + ", {where}",
    "{share} of " + IMAGE + " is [covered by|taken up by] {cover}, {where}",
    "{cover} <takes|take> up {share} of " + IMAGE + ", {where}",
    "there <is|are> {cover} on {share} of " + IMAGE + ", {where}",
)
NO_COVER: Phrases = (
    "there <is|are> no {cover}",
    "no {cover} <is|are> [in view|present|to be found]",
    IMAGE + " has no {cover}",
    "{cover} <is|are> absent [here|from the scene]",
)
MAY_BE_WATER: Phrases = (
    "whether that is water the image alone does not tell",
    "they may be water or smooth ground",
    "they could be calm water, or ground as smooth",
    "this may be water, or else smooth ground",
)
DOUBTS: Phrases = (
    "the prior suggests that ",
    "judging by the prior, ",
    "as the prior has it, ",
    "going by the prior, not by the image, ",
)

PLACES: dict[str, str] = {
    "open sea": "open sea",
    "coast": "a coast",
    "port": "a port",
    "airfield": "an airfield",
    "river": "a river with its banks",
    "inland": "inland countryside",
}
"""Others are told by their own name with an article."""

USES: dict[str, str] = {
    "port": "shipping",
    "harbour": "shipping",
    "harbor": "shipping",
    "airfield": "air traffic",
    "airport": "air traffic",
    "crops": "farming",
    "built-up land": "settlement, industry or traffic",
}
"""What a place, or a land cover on a fifth of the image or more, is used for."""
