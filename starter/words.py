"""The vocabulary: which drawings are used and what people call them. Data and small rules only."""

from __future__ import annotations

import re

STYLES = {
    "3d": ("3d", "3d", "3d render", "3d icon", "3d emoji"),
    "flat": ("flat", "flat", "flat design", "flat icon", "flat vector art"),
    "cartoon": ("cartoon", "cartoon", "cartoon style", "cartoon sticker", "cartoon emoji"),
}
COLOURS = {
    "white": (255, 255, 255),
    "black": (20, 20, 22),
    "gray": (150, 150, 152),
    "red": (214, 48, 49),
    "orange": (243, 140, 40),
    "yellow": (250, 214, 60),
    "green": (72, 170, 80),
    "blue": (52, 110, 220),
    "purple": (130, 70, 190),
    "pink": (248, 165, 195),
    "brown": (130, 86, 56),
}
DROPPED_SUBGROUPS = {
    "country-flag",
    "subdivision-flag",
    "flag",
    "alphanum",
    "keycap",
    "zodiac",
    "av-symbol",
    "skin-tone",
    "hair-style",
    "family",
    "person-symbol",
    "currency",
    "gender",
    "transport-sign",
    "punctuation",
    "math",
    "other-symbol",
    "religion",
    "person-gesture",
}
KEPT_SYMBOL_SUBGROUPS = {"geometric", "arrow"}
KEPT_ANYWAY = {
    "recycling symbol",
    "check mark button",
    "cross mark",
    "warning",
    "radioactive",
    "biohazard",
    "prohibited",
    "no entry",
    "yin yang",
    "peace symbol",
    "atom symbol",
    "red question mark",
    "red exclamation mark",
    "hundred points",
    "chequered flag",
    "pirate flag",
    "rainbow flag",
    "heavy dollar sign",
    "footprints",
    "fingerprint",
}
# What people say -> the drawing's own name is the key. Bare nouns matter: "an apple" must find the red one.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "red apple": ("apple",),
    "green apple": ("green apple",),
    "automobile": ("car", "red car"),
    "sport utility vehicle": ("suv", "blue car", "jeep"),
    "racing car": ("race car",),
    "dog face": ("dog", "puppy"),
    "cat face": ("cat", "kitten"),
    "grinning cat": ("happy cat", "smiling cat"),
    "crying cat": ("sad cat",),
    "pouting cat": ("angry cat",),
    "weary cat": ("scared cat", "shocked cat"),
    "smiling cat with heart-eyes": ("cat in love",),
    "horse face": ("horse",),
    "tiger face": ("tiger",),
    "cow face": ("cow",),
    "pig face": ("pig",),
    "mouse face": ("mouse",),
    "rabbit face": ("rabbit", "bunny"),
    "monkey face": ("monkey",),
    "dragon face": ("dragon",),
    "spouting whale": ("whale",),
    "front-facing baby chick": ("chick",),
    "house": ("home",),
    "evergreen tree": ("pine tree", "fir tree"),
    "deciduous tree": ("tree", "green tree"),
    "palm tree": ("palm",),
    "hot beverage": ("cup of coffee", "coffee", "cup of tea"),
    "beer mug": ("beer", "glass of beer"),
    "doughnut": ("donut",),
    "soft ice cream": ("ice cream cone", "ice cream"),
    "red heart": ("heart", "love heart"),
    "honeybee": ("bee",),
    "lady beetle": ("ladybug",),
    "grinning face": ("happy face", "smiley", "happy smiley"),
    "slightly smiling face": ("smiling face",),
    "smiling face with sunglasses": ("cool face", "smiley with sunglasses"),
    "crying face": ("sad face",),
    "enraged face": ("angry face", "angry red face"),
    "face with tears of joy": ("laughing face",),
    "snow-capped mountain": ("mountain", "mountain with snow"),
    "delivery truck": ("truck", "lorry"),
    "passenger ship": ("ship",),
    "sailboat": ("boat", "sailing boat"),
    "airplane": ("plane",),
    "bicycle": ("bike",),
    "motorcycle": ("motorbike",),
    "locomotive": ("steam train", "train"),
    "soccer ball": ("football", "ball"),
    "wrapped gift": ("gift", "present", "gift box"),
    "birthday cake": ("cake",),
    "shortcake": ("piece of cake", "slice of cake"),
    "sun": ("sunshine",),
    "crescent moon": ("moon",),
    "glowing star": ("shining star",),
    "star": ("yellow star",),
    "robot": ("robot head",),
    "jack-o-lantern": ("halloween pumpkin", "pumpkin"),
    "kitchen knife": ("knife",),
    "laptop": ("computer", "notebook computer"),
    "mobile phone": ("phone", "smartphone"),
    "hamburger": ("burger",),
    "french fries": ("fries",),
    "pizza": ("slice of pizza",),
    "poultry leg": ("chicken leg",),
    "cut of meat": ("steak",),
    "light bulb": ("lamp",),
    "alarm clock": ("clock",),
    "top hat": ("black hat", "hat"),
    "running shoe": ("shoe", "sneaker"),
    "t-shirt": ("shirt",),
    "umbrella with rain drops": ("umbrella",),
    "taxi": ("yellow cab",),
    "snowman without snow": ("snowman",),
    "two-hump camel": ("camel",),
    "tangerine": ("orange fruit", "orange"),
    "glasses": ("spectacles",),
    "trophy": ("cup", "golden cup"),
    "crown": ("golden crown",),
    "butterfly": ("blue butterfly",),
    "fox": ("fox face",),
    "panda": ("panda bear",),
    "bear": ("brown bear",),
    "frog": ("green frog",),
    "rocket": ("space rocket",),
    "fire": ("flame",),
    "key": ("golden key",),
    "rainbow": ("colourful rainbow",),
    "banana": ("yellow banana",),
}
WITHOUT_ARTICLE = {
    "curry rice",
    "cooked rice",
    "spaghetti",
    "broccoli",
    "garlic",
    "butter",
    "salt",
    "bacon",
    "bread",
    "sake",
    "fire",
    "fog",
    "yarn",
    "thread",
    "wood",
    "coral",
    "sushi",
    "coffee",
    "sunshine",
    "money",
}
PLURAL = re.compile(
    r"(glasses|scissors|chopsticks|fries|socks|jeans|shorts|eyes|grapes|cherries|olives|beans|bubbles|pancakes|mugs|dumplings|footprints|notes|"
    r"masks|goggles|maracas|skis|swords|sparkles|fireworks|buildings|gloves|spectacles)$"
)


def keeps(label: str, group: str, subgroup: str, hexcode: str) -> bool:
    """Is a drawing of that name used? Skin tones, country flags, letters, clock faces and doubles of people are not."""
    if label in KEPT_ANYWAY:
        return True
    if subgroup in DROPPED_SUBGROUPS or group == "component":
        return False
    if group == "symbols" and subgroup not in KEPT_SYMBOL_SUBGROUPS:
        return False
    if "o’clock" in label or label.endswith("-thirty"):
        return False
    return not (group == "people-body" and ("200D" in hexcode or label.split()[0] in ("man", "woman")))


def with_article(name: str) -> str:
    """ "apple" -> "an apple"; plurals and masses stay as they are."""
    lower = name.lower()
    if lower in WITHOUT_ARTICLE or PLURAL.search(lower) or lower.startswith(("a ", "an ", "the ", "two ")):
        return lower
    vowel = lower[0] in "aeiou" and not lower.startswith(("uni", "ukulele", "euro", "one"))
    return f"{'an' if vowel else 'a'} {lower}"
