"""Units that convert into each other: names looked up in a table of ours, magnitudes converted by pint.

pint's parser evaluates expressions, so it never sees text that a model wrote: only names from `_UNITS`.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

_UNITS: dict[str, dict[str, str]] = {
    # pint's name: spellings, as `unit_name` folds them (lower case, singular)
    "length": {
        "millimeter": "mm millimeter millimetre 毫米 мм",
        "centimeter": "cm centimeter centimetre zentimeter centimètre centímetro 厘米 公分 センチ 센티미터 см",
        "decimeter": "dm decimeter decimetre 分米",
        "meter": "m meter metre mètre metro 米 公尺 メートル 미터 м метр метра метров",
        "kilometer": "km kilometer kilometre kilomètre kilómetro quilômetro 千米 公里 キロメートル 킬로미터 км",
        "inch": "inch in ″",
        "foot": "foot feet ft",
        "yard": "yard yd",
        "mile": "mile mi 英里",
    },
    "mass": {
        "milligram": "mg milligram",
        "gram": "g gram gramm gramme gramo grama 克 グラム 그램 г грамм граммов",
        "kilogram": "kg kilogram kilo kilogramm kilogramme kilogramo quilograma 千克 公斤 キログラム 킬로그램 кг",
        "ounce": "oz ounce",
        "pound": "lb pound lbs",
        "metric_ton": "tonne t 吨",
    },
    "time": {
        "second": "s sec second sekunde segundo seconde 秒 초 с сек секунда секунды секунд",
        "minute": "min minute minuten minuto 分钟 分鐘 分 분 мин минута минуты минут",
        "hour": "h hr hrs hour stunde stunden hora heure 小时 小時 時間 시간 ч час часа часов",
        "day": "day d tag tage tagen día dia jour 天 日 일 день дня дней",
        "week": "week woche wochen semana semaine 周 星期 週 주 неделя недели недель",
    },
    "calendar": {
        "month": "month",
        "year": "year yr jahr jahre jahren año ano année 年 년 год года лет",
        "decade": "decade",
        "century": "century",
    },
    "volume": {
        "milliliter": "ml milliliter millilitre 毫升 мл",
        "centiliter": "cl centiliter centilitre",
        "liter": "l liter litre litro 升 公升 リットル 리터 л литр литра литров",
        "teaspoon": "teaspoon tsp",
        "tablespoon": "tablespoon tbsp",
        "cup": "cup",
        "pint": "pint pt",
        "quart": "quart qt",
        "gallon": "gallon gal",
    },
    "angle": {"degree": "degree °", "radian": "radian rad"},
    "data": {"byte": "byte", "kilobyte": "kb kilobyte", "megabyte": "mb megabyte", "gigabyte": "gb gigabyte"},
    "energy": {"joule": "j joule", "kilojoule": "kj kilojoule", "calorie": "cal calorie", "kilocalorie": "kcal"},
    "power": {"watt": "w watt", "kilowatt": "kw kilowatt"},
    "dollars": {"cent": "cent ¢ c", "dollar": "dollar $ usd buck"},
    "euros": {"euro cent": "cent cents", "euro": "€ euro eur"},
    "pounds": {"penny": "penny pence p", "pound sterling": "£ gbp"},
    "yuan": {"fen": "分", "jiao": "角", "yuan": "元 块 yuan rmb 人民币"},
    "rupees": {"paisa": "paise paisa", "rupee": "₹ rupee"},
    "rubles": {"kopeck": "копеек копейки", "ruble": "₽ рубль рубля рублей руб"},
}
# pint knows no money, and a decade as a logarithmic unit.
_FIXED = {
    "month": Fraction(1, 12), "year": Fraction(1), "decade": Fraction(10), "century": Fraction(100),
    "cent": Fraction(1, 100), "dollar": Fraction(1), "euro cent": Fraction(1, 100), "euro": Fraction(1),
    "penny": Fraction(1, 100), "pound sterling": Fraction(1), "fen": Fraction(1, 100), "jiao": Fraction(1, 10),
    "yuan": Fraction(1), "paisa": Fraction(1, 100), "rupee": Fraction(1), "kopeck": Fraction(1, 100),
    "ruble": Fraction(1),
}  # fmt: skip

Unit = tuple[tuple[str, str, int], ...]
"""Kind, pint's name and power of each factor, in order."""

_NAMED: dict[str, list[tuple[str, str]]] = {}
for _kind, _names in _UNITS.items():
    for _name, _spellings in _names.items():
        for _spelling in _spellings.split():
            _NAMED.setdefault(_spelling, []).append((_kind, _name))
_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_AFTER = {"2": 2, "3": 3, "squared": 2, "cubed": 3}
_SPEEDS = tuple(
    (("length", length, 1), ("time", time, -1))
    for length, times in {
        "meter": ("second", "minute"),
        "kilometer": ("hour", "second"),
        "mile": ("hour", "minute"),
        "foot": ("second", "minute"),
    }.items()
    for time in times
)
_MAX_READINGS = 4


@lru_cache(maxsize=1_024)
def read_unit(text: str) -> tuple[Unit, ...]:
    """Returns what a unit's text, as `unit_name` folds it, may mean; nothing if a word of it is unknown."""
    readings: list[Unit] = [()]
    sides = re.split(r"\s*/\s*|\s+per\s+|(?<=\s)an?\s+", f" {text} ".replace(" per ", " / "), maxsplit=2)
    if len(sides) > 2 or len(text) > 60:
        return ()
    for sign, side in zip((1, -1), sides, strict=False):
        power = 1
        words = side.split()
        for index, word in enumerate(words):
            if word in _BEFORE and index + 1 < len(words):
                power = _BEFORE[word]
            elif word in _AFTER:
                readings = [(*unit[:-1], (*unit[-1][:2], unit[-1][2] * _AFTER[word])) for unit in readings if unit]
            else:
                meanings = _NAMED.get(word, [])
                readings = [(*unit, (*meaning, sign * power)) for unit in readings for meaning in meanings][
                    :_MAX_READINGS
                ]
                power = 1
        if not words:
            return ()
    return tuple(tuple(sorted(unit)) for unit in readings if unit)


def factors(first: str, second: str) -> tuple[Fraction, ...]:
    """Returns how many of the unit `second` one of the unit `first` is, for each reading of both that have the same
    dimension; nothing if they do not convert."""
    found = (_factor(left, right) for left in read_unit(first) for right in read_unit(second))
    return tuple(dict.fromkeys(factor for factor in found if factor is not None))


@lru_cache(maxsize=1_024)
def factors_to_others(text: str) -> frozenset[Fraction]:
    """Returns how many of each common unit of the same dimension one of a unit is, without 1; empty for a unit that we
    do not know."""
    others: set[Fraction] = set()
    for unit in read_unit(text):
        for other in _candidates(unit):
            factor = _factor(unit, other)
            if factor is not None:
                others.add(factor)
    return frozenset(others - {Fraction(1)})


def _candidates(unit: Unit) -> list[Unit]:
    kinds = {(kind, power) for kind, _, power in unit}
    simple: list[Unit] = [((kind, name, power),) for kind, power in kinds for name in _UNITS[kind]]
    if kinds in ({("length", 3)}, {("volume", 1)}):
        simple += [(("length", name, 3),) for name in _UNITS["length"]]
        simple += [(("volume", name, 1),) for name in _UNITS["volume"]]
    return simple if len(unit) == 1 else list(_SPEEDS) if kinds == {("length", 1), ("time", -1)} else []


@lru_cache(maxsize=4_096)
def _factor(first: Unit, second: Unit) -> Fraction | None:
    kinds = [frozenset((kind, power) for kind, _, power in unit) for unit in (first, second)]
    if len(first) == len(second) == 1 and first[0][1] in _FIXED and second[0][1] in _FIXED:
        return _FIXED[first[0][1]] / _FIXED[second[0][1]] if kinds[0] == kinds[1] and first[0][2] == 1 else None
    # A year has 365 days in one problem, and 52 weeks or 365.25 days in another.
    if any(name in _FIXED for unit in (first, second) for _, name, _ in unit):
        return None
    registry, container, mismatch = _pint()
    try:
        return Fraction(registry.convert(Fraction(1), *(container(_powers(unit)) for unit in (first, second))))
    except mismatch:
        return None


def _powers(unit: Unit) -> Mapping[str, int]:
    powers: dict[str, int] = {}
    for _, name, power in unit:
        powers[name] = powers.get(name, 0) + power
    return powers


@lru_cache(maxsize=1)
def _pint() -> tuple[Any, Any, type[Exception]]:
    """pint's registry, with exact fractions; made once, when the first two units have to be converted."""
    import pint
    from pint.util import UnitsContainer

    return pint.UnitRegistry(non_int_type=Fraction), UnitsContainer, pint.DimensionalityError
