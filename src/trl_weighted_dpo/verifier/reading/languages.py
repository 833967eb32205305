"""Phrases around answers, by language: one row of `LANGUAGES` for each.

All phrases are in the plain characters of [`plain`], which writes a full-width colon as `:`. Letters of either case
match. English sentences around answers have rules of their own in `answer.py`; its row holds what other modules need.
"""

import re
from dataclasses import dataclass

from trl_weighted_dpo.verifier.reading.characters import words_of


@dataclass(frozen=True, slots=True)
class Language:
    """What one language says around answers.

    Args:
        announces (`tuple[str, ...]`): What comes before a final answer. A colon or dash may follow.
        headings (`tuple[str, ...]`): What comes before a final answer only if a colon or dash follows.
        asks (`tuple[str, ...]`): Headings of a question, before a colon or a number.
        turns (`tuple[str, ...]`): Headings of another turn.
        verbs (`tuple[str, ...]`): Verbs that end a sentence right after an answer.
        percent (`tuple[str, ...]`): Words for percent.
        scales (`dict[str, int]`): Words after a number that multiply it.
        leaves (`tuple[str, ...]`): Words before a number that leave it what it is: "about", "in total".
        changes (`tuple[str, ...]`): Words right before a number that make it another one, or none: "at least", "not".
        bounds (`tuple[str, ...]`): Words right after a number that do so: "or more".
        retracts (`tuple[str, ...]`): What takes an answer back.
    """

    announces: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    percent: tuple[str, ...] = ()
    scales: dict[str, int] | None = None
    leaves: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    retracts: tuple[str, ...] = ()


LANGUAGES = {
    "English": Language(
        asks=("question", "problem", "exercise", "example", "task", "input", "q"),
        turns=("human", "user", "instruction", "instructions"),
        percent=("percent", "pct", "percentage"),
        scales={
            "dozen": 12,
            "hundred": 100,
            "thousand": 10**3,
            "million": 10**6,
            "billion": 10**9,
            "trillion": 10**12,
            "bn": 10**9,
            "lakh": 10**5,
            "crore": 10**7,
        },
        leaves=(
            "a",
            "an",
            "the",
            "about",
            "approximately",
            "approx",
            "around",
            "exactly",
            "roughly",
            "nearly",
            "almost",
            "only",
            "just",
            "total",
            "total of",
            "in total",
            "is",
            "are",
            "it is",
            "equals",
            "equal to",
            "answer",
            "the answer is",
            "answer is",
            "so",
            "thus",
            "therefore",
            "hence",
            "or",
            "and",
            "final answer",
            "value",
            "value is",
            "of",
            "rs",
            "usd",
            "eur",
            "gbp",
            "us",
            "inr",
            "cad",
            "aud",
            "x is",
            "x equals",
            "exact",
            "simply",
            "precisely",
            "altogether",
            "a total of",
            "number",
            "sum",
            "result",
            "result is",
            "length",
            "area",
            "volume",
            "perimeter",
            "radius",
            "width",
            "height",
            "speed",
            "price",
            "cost",
            "profit",
            "age",
            "mean",
            "median",
            "mode",
            "average",
            "probability",
            "distance",
            "time",
            "option",
            "choice",
            "solution",
            "solutions",
            "base",
            "where",
            "when",
            "for",
            "if",
            "with",
            "all",
            "all real",
            "all integers",
            "year",
            "close to",
            "",
        ),
    ),
    "Chinese": Language(
        announces=(
            "答案是",
            "答案为",
            "答案為",
            "答案应为",
            "答案應為",
            "答案应该是",
            "答案應該是",
            "答案即为",
            "答案就是",
            "最终答案",
            "最終答案",
            "正确答案",
            "故选",
            "故選",
        ),
        headings=("答案", "答"),
        asks=("问题", "問題", "题目", "題目", "问", "例题", "练习"),
        turns=("用户", "用戶", "指令"),
        percent=("百分之",),
        scales={
            "十万": 10**5,
            "百万": 10**6,
            "千万": 10**7,
            "百": 100,
            "千": 10**3,
            "万": 10**4,
            "萬": 10**4,
            "亿": 10**8,
            "億": 10**8,
        },
        leaves=(
            "约",
            "大约",
            "約",
            "大約",
            "共",
            "一共",
            "总共",
            "總共",
            "是",
            "为",
            "為",
            "等于",
            "等於",
            "共计",
            "合计",
            "百分之",
        ),
        changes=(
            "不是",
            "并非",
            "不等于",
            "至少",
            "至多",
            "最多",
            "最少",
            "不到",
            "不足",
            "超过",
            "小于",
            "大于",
            "少于",
            "多于",
            "负",
            "負",
            "半个",
            "两倍",
            "一半",
            "低于",
            "高于",
        ),
        bounds=("以上", "以下", "以内", "多", "余", "倍", "次方", "的倍数"),
        retracts=("不对", "不對", "错了", "錯了", "等等", "等一下", "更正", "有误", "算错", "应该是", "應該是"),
    ),
    "Japanese": Language(
        announces=("答えは", "答は", "解答は", "正解は", "最終的な答えは", "最終的な答え"),
        headings=("答え", "答", "解答", "正解", "回答"),
        asks=("問", "質問", "例題", "練習問題"),
        turns=("ユーザー",),
        verbs=("です", "でした", "である", "となります", "になります", "となる", "になる", "だ"),
        percent=("パーセント",),
        leaves=("およそ", "合計", "全部で", "ちょうど", "合わせて"),
        changes=("少なくとも", "せいぜい", "最大", "最低", "マイナス"),
        bounds=("未満", "以上", "以下", "以内", "超", "倍"),
        retracts=("間違い", "違います", "訂正", "待って", "いや"),
    ),
    "Korean": Language(
        announces=("정답은", "답은", "최종 답은", "최종 답", "최종 답변은", "최종 정답은"),
        headings=("정답", "답", "답변"),
        asks=("문제", "질문", "예제"),
        turns=("사용자",),
        verbs=("입니다", "이다", "이에요", "예요", "이 됩니다", "됩니다", "이 된다"),
        percent=("퍼센트", "프로"),
        scales={"백": 100, "천": 10**3, "만": 10**4, "억": 10**8},
        leaves=("약", "총", "모두", "정확히", "대략"),
        changes=("최소", "최대", "적어도", "마이너스", "아닌"),
        bounds=("이상", "이하", "미만", "초과", "배"),
        retracts=("잠깐", "아니", "틀렸", "정정", "잘못"),
    ),
    "Russian": Language(
        announces=(
            "ответом является",
            "ответ равен",
            "ответ это",
            "ответ будет",
            "окончательный ответ",
            "правильный ответ",
        ),
        headings=("ответ",),
        asks=("вопрос", "задача", "пример", "задание"),
        turns=("пользователь", "инструкция"),
        percent=("процент", "процента", "процентов"),
        scales={
            "тысяч": 10**3,
            "тысячи": 10**3,
            "тысяча": 10**3,
            "тыс": 10**3,
            "миллион": 10**6,
            "миллиона": 10**6,
            "миллионов": 10**6,
            "млн": 10**6,
            "миллиард": 10**9,
            "миллиардов": 10**9,
            "млрд": 10**9,
        },
        leaves=("около", "примерно", "всего", "ровно", "приблизительно"),
        changes=(
            "не",
            "не менее",
            "не более",
            "менее",
            "более",
            "меньше",
            "больше",
            "свыше",
            "минус",
            "половина",
            "половину",
            "вдвое",
            "минимум",
            "максимум",
            "до",
        ),
        bounds=("или больше", "или меньше", "и более", "и менее", "раз", "раза"),
        retracts=("неверно", "неправильно", "ошибка", "ошибся", "ошиблась", "подождите", "стоп", "исправление"),
    ),
    "Ukrainian": Language(headings=("відповідь",), asks=("питання", "задача"), percent=("відсотків", "відсотка")),
    "German": Language(
        announces=(
            "antwort ist",
            "antwort lautet",
            "antwort lautet",
            "endgültige antwort",
            "lösung ist",
        ),
        headings=("antwort", "endergebnis", "lösung", "ergebnis"),
        asks=("frage", "aufgabe", "beispiel"),
        turns=("benutzer", "nutzer", "anweisung"),
        percent=("prozent",),
        scales={"tausend": 10**3, "millionen": 10**6, "mio": 10**6, "milliarden": 10**9, "mrd": 10**9},
        leaves=("etwa", "ungefähr", "circa", "ca", "rund", "insgesamt", "genau"),
        changes=(
            "nicht",
            "mindestens",
            "höchstens",
            "weniger als",
            "mehr als",
            "kleiner als",
            "größer als",
            "bis zu",
            "über",
            "unter",
            "minus",
            "halb",
            "die hälfte von",
            "doppelt",
            "kein",
            "keine",
        ),
        bounds=("oder mehr", "oder weniger", "mal"),
        retracts=("moment", "halt", "falsch", "korrektur", "nein", "fehler", "doch nicht"),
    ),
    "French": Language(
        announces=("réponse est", "réponse finale est", "réponse correcte est", "réponse finale"),
        headings=("réponse", "réponses", "résultat"),
        asks=("question", "problème", "exercice", "exemple"),
        turns=("utilisateur", "consigne"),
        percent=("pourcent", "pourcents"),
        scales={"mille": 10**3, "millions": 10**6, "milliards": 10**9},
        leaves=("environ", "à peu près", "au total", "exactement"),
        changes=(
            "pas",
            "au moins",
            "au plus",
            "moins de",
            "plus de",
            "jusqu'à",
            "moins",
            "la moitié de",
            "le double de",
            "le carré de",
            "inférieur à",
            "supérieur à",
        ),
        bounds=("ou plus", "ou moins", "fois"),
        retracts=("attendez", "attends", "faux", "erreur", "non", "correction", "plutôt"),
    ),
    "Spanish": Language(
        announces=("respuesta es", "respuesta final es", "respuesta correcta es", "respuesta final"),
        headings=("respuesta", "resultado"),
        asks=("pregunta", "problema", "ejercicio", "ejemplo"),
        turns=("usuario", "instrucción"),
        percent=("porciento",),
        scales={"mil": 10**3, "millón": 10**6, "millones": 10**6},
        leaves=("aproximadamente", "unos", "unas", "en total", "exactamente", "cerca de"),
        changes=(
            "no",
            "no es",
            "al menos",
            "como máximo",
            "a lo sumo",
            "menos de",
            "más de",
            "hasta",
            "menos",
            "la mitad de",
            "el doble de",
            "menor que",
            "mayor que",
            "mínimo",
            "máximo",
        ),
        bounds=("o más", "o menos", "veces"),
        retracts=("espera", "espere", "incorrecto", "error", "corrección", "equivoqué"),
    ),
    "Portuguese": Language(
        announces=("resposta é", "resposta final é", "resposta correta é", "resposta final"),
        headings=("resposta", "resultado"),
        asks=("pergunta", "problema", "exercício", "exemplo", "questão"),
        turns=("usuário",),
        percent=("porcento",),
        scales={"mil": 10**3, "milhão": 10**6, "milhões": 10**6, "bilhões": 10**9},
        leaves=("aproximadamente", "cerca de", "no total", "exatamente"),
        changes=(
            "não",
            "não é",
            "pelo menos",
            "no máximo",
            "menos de",
            "mais de",
            "até",
            "menos",
            "metade de",
            "o dobro de",
            "menor que",
            "maior que",
        ),
        bounds=("ou mais", "ou menos", "vezes"),
        retracts=("espere", "incorreto", "erro", "errado", "correção", "enganei"),
    ),
    "Italian": Language(
        announces=("risposta è", "risposta finale è"),
        headings=("risposta", "risultato"),
        asks=("domanda", "problema", "esercizio"),
        percent=("percento",),
        leaves=("circa", "in totale", "esattamente"),
        changes=("non", "almeno", "al massimo", "meno di", "più di", "fino a", "meno", "la metà di", "il doppio di"),
        retracts=("aspetta", "sbagliato", "errore"),
    ),
    "Dutch": Language(
        announces=("het antwoord is",), headings=("antwoord",), asks=("vraag", "opgave"), percent=("procent",)
    ),
    "Polish": Language(headings=("odpowiedź",), asks=("pytanie", "zadanie")),
    "Turkish": Language(headings=("cevap", "yanıt", "sonuç"), asks=("soru", "problem")),
    "Vietnamese": Language(
        announces=("đáp án là", "đáp số là", "câu trả lời là"),
        headings=("đáp án", "đáp số", "trả lời"),
        asks=("câu hỏi", "bài toán"),
    ),
    "Indonesian": Language(
        announces=("jawabannya adalah",), headings=("jawaban", "jawab"), asks=("pertanyaan", "soal")
    ),
    "Swahili": Language(announces=("jibu ni",), headings=("jibu",), asks=("swali",)),
    "Arabic": Language(
        announces=("الجواب هو", "الإجابة هي", "الاجابة هي", "الإجابة النهائية هي", "الجواب النهائي هو"),
        headings=("الجواب", "الإجابة", "الاجابة", "الإجابة النهائية", "الحل", "إجابة"),
        asks=("سؤال", "السؤال", "مسألة", "المسألة"),
        turns=("المستخدم",),
        percent=("بالمئة", "بالمائة"),
        scales={"ألف": 10**3, "مليون": 10**6, "مليار": 10**9},
        leaves=("حوالي", "تقريبا"),
        changes=("ليس", "ليست", "على الأقل", "على الأكثر", "أقل من", "أكثر من", "نصف", "ضعف", "سالب"),
        retracts=("انتظر", "خطأ", "تصحيح"),
    ),
    "Hindi": Language(
        announces=("उत्तर है", "अंतिम उत्तर", "सही उत्तर", "अतः उत्तर", "इसलिए उत्तर", "उत्तर होगा", "जवाब है"),
        headings=("उत्तर", "जवाब"),
        asks=("प्रश्न", "सवाल", "समस्या"),
        verbs=("है", "हैं", "होगा"),
        percent=("प्रतिशत",),
        scales={"हजार": 10**3, "हज़ार": 10**3, "लाख": 10**5, "करोड़": 10**7},
        leaves=("लगभग", "कुल", "है"),
        changes=("नहीं", "कम से कम", "अधिक से अधिक", "से कम", "आधा", "दोगुना"),
        retracts=("रुको", "गलत", "सुधार"),
    ),
    "Bengali": Language(announces=("উত্তর হল", "উত্তর হলো"), headings=("উত্তর",), asks=("প্রশ্ন",), verbs=("হয়",)),
    "Telugu": Language(headings=("సమాధానం", "జవాబు"), asks=("ప్రశ్న",)),
    "Thai": Language(announces=("คำตอบคือ",), headings=("คำตอบ",), asks=("คำถาม", "โจทย์")),
}


def _all(part: str) -> tuple[str, ...]:
    """One part of all languages, the longest phrases first."""
    found = {phrase for language in LANGUAGES.values() for phrase in getattr(language, part) or ()}
    return tuple(sorted(found, key=lambda phrase: (-len(phrase), phrase)))


PERCENT_WORDS = _all("percent")
SCALES = {word: factor for language in LANGUAGES.values() for word, factor in (language.scales or {}).items()}
LEAVES = frozenset(_all("leaves"))
ASKS = _all("asks")
TURNS = _all("turns")
CHANGES = _all("changes")
BOUNDS = _all("bounds")
RETRACTS = tuple(phrase for name, language in LANGUAGES.items() if name != "English" for phrase in language.retracts)

_VERBS = _all("verbs")


def alternatives(phrases: tuple[str, ...]) -> str:
    """Returns a regular expression for one of `phrases`."""
    return "(?:" + "|".join(re.escape(phrase).replace("\\ ", "[ ]") for phrase in phrases) + ")"


_HEADINGS = _all("headings")


# A letter before `jibu` makes it another word; scripts without blanks have letters before their phrases.
_WHOLE = r"(?<![A-Za-z\u00c0-\u024f\u0400-\u04ff])"
ANSWER = (
    rf"{_WHOLE}(?:{alternatives(_all('announces'))}(?![A-Za-z\u00c0-\u04ff]{{2}})[ ]?\**[ ]?[:\u2014-]?"
    rf"|{alternatives(_HEADINGS)}[ ]?\**[ ]?(?:[:\u2014]|-[ ]|(?=[ ]?\**\\?\$?-?\d)))"
)
"""A regular expression for what announces an answer in other languages than English."""
_ASCII = {phrase for phrase in (*_all("announces"), *_HEADINGS) if phrase.isascii()}
ASCII_CUES = tuple(phrase for phrase in _ASCII if not any(other in phrase for other in _ASCII - {phrase}))
"""What an ASCII text holds at least one of if it announces an answer in another language than English."""


def without_verb(word: str) -> str:
    """Returns a word without the verb that ends a sentence after an answer: `19個です` says `19個`."""
    for verb in _VERBS:
        if word.endswith(verb):
            return word[: -len(verb)]
    return word


def leaves(words: str) -> bool:
    """Whether words before a number leave it what it is: "about", "a total of", "USD"."""
    folded = words_of(words.casefold())
    return folded in LEAVES or all(word in LEAVES for word in folded.split(" "))


_UNITS_NOT_SCALES = ("\u5343\u514b", "\u5343\u7c73", "\u5343\u74e6", "\u5343\u5361", "\u767e\u5206")
_JOINED_SCALES = tuple(word for word in sorted(SCALES, key=len, reverse=True) if "\u3040" <= word[0] <= "\ud7a3")


def split_scale(word: str) -> tuple[int, str]:
    """The number that a word after an amount multiplies it with, and the rest of the word, its unit: `万元`."""
    if word in SCALES:
        return SCALES[word], ""
    if word.isascii() or word.startswith(_UNITS_NOT_SCALES):
        return 1, word
    scale = next((scale for scale in _JOINED_SCALES if word.startswith(scale)), "")
    return SCALES.get(scale, 1), word[len(scale) :]


def is_bounded(unit: str) -> bool:
    """Whether words after an amount make it another one, or a bound: `19以上`."""
    return any(f" {bound} " in f" {unit} " or (bound[0] > "\u3000" and unit.endswith(bound)) for bound in BOUNDS)
