"""DM Mathematics: questions of one module with computed answers (after Saxton et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from random import Random

Question = tuple[str, str]


def _polynomial(coefficients: list[int], variable: str) -> str:
    """Coefficients from the constant up, written as mathematics_dataset writes them."""
    terms = []
    for power in range(len(coefficients) - 1, -1, -1):
        value = coefficients[power]
        if not value:
            continue
        symbol = "" if power == 0 else variable if power == 1 else f"{variable}**{power}"
        size = str(abs(value)) if not symbol or abs(value) != 1 else ""
        sign = "-" if value < 0 else "+"
        terms.append((sign, f"{size}*{symbol}" if size and symbol else size + symbol))
    if not terms:
        return "0"
    first_sign, first = terms[0]
    text = first if first_sign == "+" else f"-{first}"
    return text + "".join(f" {sign} {term}" for sign, term in terms[1:])


def _ordinal(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else suffix}"


def _in_base(number: int, base: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, base)
        digits = "0123456789abcdef"[digit] + digits
    return digits or "0"


def _whole(rng: Random, digits: int) -> int:
    return rng.randint(10 ** (digits - 1), 10**digits - 1) * rng.choice((1, 1, -1))


def add_or_sub(rng: Random) -> Question:
    a, b = _whole(rng, rng.randint(2, 7)), _whole(rng, rng.randint(2, 5))
    if rng.random() < 0.5:
        templates = ("What is {a} + {b}?", "Add {a} and {b}.", "Calculate {a} + {b}.")
        return rng.choice(templates).format(a=a, b=b), str(a + b)
    templates = ("What is {a} minus {b}?", "Subtract {b} from {a}.", "Calculate {a} - {b}.")
    return rng.choice(templates).format(a=a, b=b), str(a - b)


def multiply(rng: Random) -> Question:
    a, b = _whole(rng, rng.randint(2, 6)), _whole(rng, rng.randint(1, 3))
    templates = ("What is {a} times {b}?", "Multiply {a} and {b}.", "Work out {a} * {b}.")
    return rng.choice(templates).format(a=a, b=b), str(a * b)


def divide(rng: Random) -> Question:
    a, b = _whole(rng, rng.randint(3, 6)), _whole(rng, rng.randint(1, 3))
    templates = ("What is {a} divided by {b}?", "Divide {a} by {b}.", "Calculate {a} over {b}.")
    return rng.choice(templates).format(a=a, b=b), str(Fraction(a, b))


def remainder(rng: Random) -> Question:
    a, b = abs(_whole(rng, rng.randint(3, 6))), abs(_whole(rng, rng.randint(2, 3)))
    templates = (
        "What is the remainder when {a} is divided by {b}?",
        "Calculate the remainder when {a} is divided by {b}.",
    )
    return rng.choice(templates).format(a=a, b=b), str(a % b)


def gcd(rng: Random) -> Question:
    common = rng.randint(2, 90)
    a, b = common * rng.randint(2, 60), common * rng.randint(2, 99)
    templates = (
        "What is the greatest common divisor of {a} and {b}?",
        "Calculate the highest common factor of {a} and {b}.",
    )
    return rng.choice(templates).format(a=a, b=b), str(math.gcd(a, b))


def lcm(rng: Random) -> Question:
    a, b = rng.randint(4, 900), rng.randint(4, 400)
    templates: tuple[str, ...] = (
        "What is the smallest common multiple of {a} and {b}?",
        "Calculate the least common multiple of {a} and {b}.",
        "Find the common denominator of -1/{a} and 7/{b}.",
    )
    if a % 7 == 0 or b % 7 == 0:
        templates = templates[:2]
    return rng.choice(templates).format(a=a, b=b), str(math.lcm(a, b))


def _factors(number: int) -> list[int]:
    """Prime factors in rising order, each as often as it divides."""
    found = []
    factor = 2
    while factor * factor <= number:
        while number % factor == 0:
            found.append(factor)
            number //= factor
        factor += 1
    return found + [number] * (number > 1)


def is_prime(rng: Random) -> Question:
    number = rng.randint(100, 99_999) | 1
    prime = len(_factors(number)) == 1
    if rng.random() < 0.5:
        return f"Is {number} a prime number?", str(prime)
    return f"Is {number} composite?", str(not prime)


def list_prime_factors(rng: Random) -> Question:
    number = rng.randint(100, 99_999)
    templates = ("What are the prime factors of {}?", "List the prime factors of {}.")
    answer = ", ".join(map(str, sorted(set(_factors(number)))))
    return rng.choice(templates).format(number), answer


def sort(rng: Random) -> Question:
    numbers = rng.sample(range(-99, 999), rng.randint(4, 8))
    falling = rng.random() < 0.5
    order = "decreasing" if falling else "increasing"
    question = f"{rng.choice(('Sort', 'Put'))} {', '.join(map(str, numbers))} in {order} order."
    return question, ", ".join(map(str, sorted(numbers, reverse=falling)))


def kth_biggest(rng: Random) -> Question:
    numbers = rng.sample(range(-99, 9999), rng.randint(4, 7))
    rank = rng.randint(1, len(numbers))
    falling = rng.random() < 0.5
    kind = "biggest" if falling else "smallest"
    name = kind if rank == 1 else f"{_ordinal(rank)} {kind}"
    question = f"What is the {name} value in {', '.join(map(str, numbers))}?"
    return question, str(sorted(numbers, reverse=falling)[rank - 1])


def closest(rng: Random) -> Question:
    target = rng.randint(-90, 90)
    distances = rng.sample(range(1, 200), 4)
    numbers = [target + distance * rng.choice((1, -1)) for distance in distances]
    answer = min(numbers, key=lambda number: abs(number - target))
    pairs = zip("abcd", numbers, strict=True)
    choices = "  ".join(f"({letter}) {number}" for letter, number in pairs)
    return f"Which is the closest to {target}?  {choices}", "abcd"[numbers.index(answer)]


def base_conversion(rng: Random) -> Question:
    first, second = rng.sample(range(2, 17), 2)
    number = rng.randint(30, 90_000)
    question = f"What is {_in_base(number, first)} (base {first}) in base {second}?"
    return question, _in_base(number, second)


def place_value(rng: Random) -> Question:
    number = rng.randint(10_000, 99_999_999)
    places = ["units", "tens", "hundreds", "thousands", "ten thousands"]
    place = rng.randrange(len(places))
    return f"What is the {places[place]} digit of {number}?", str(number // 10**place % 10)


def round_number(rng: Random) -> Question:
    # The digit after the cut is no 5, so that every convention of rounding agrees.
    unit = 10 ** rng.randint(1, 5)
    down = rng.randint(1, 900) * unit
    rest = rng.choice((rng.randint(1, unit * 4 // 10), rng.randint(unit * 6 // 10, unit - 1)))
    names = {10: "ten", 100: "one hundred", 1000: "one thousand", 10_000: "ten thousand"}
    question = f"Round {down + rest} to the nearest {names.get(unit, 'one hundred thousand')}."
    return question, str(down + unit * (rest > unit // 2))


def conversion(rng: Random) -> Question:
    units = {"millimeters": 1, "centimeters": 10, "meters": 1000, "kilometers": 1_000_000}
    source, target = rng.sample(sorted(units), 2)
    amount = Fraction(rng.randint(2, 99_999), 10)
    value = amount * units[source] / units[target]
    # All these units are powers of ten apart, so that the decimal expansion ends.
    decimals = f"{value.numerator * 10**9 // value.denominator:010d}"
    answer = f"{decimals[:-9]}.{decimals[-9:]}".rstrip("0").rstrip(".")
    templates = (
        "What is {a} {s} in {t}?",
        "Convert {a} {s} to {t}.",
        "How many {t} are there in {a} {s}?",
    )
    return rng.choice(templates).format(a=float(amount), s=source, t=target), answer


def time(rng: Random) -> Question:
    start, length = rng.randrange(1440), rng.randint(5, 700)

    def clock(minute: int) -> str:
        hour, minute = divmod(minute % 1440, 60)
        return f"{(hour - 1) % 12 + 1}:{minute:02d} {'PM' if hour >= 12 else 'AM'}"

    if rng.random() < 0.5:
        question = f"How many minutes are there between {clock(start)} and {clock(start + length)}?"
        return question, str(length)
    return f"What is {length} minutes after {clock(start)}?", clock(start + length)


def linear_1d(rng: Random) -> Question:
    variable = rng.choice("abcdghjklmnpqrstuvwxyz")
    slope, moved = rng.choice((-1, 1)) * rng.randint(2, 90), rng.randint(-50, 50)
    root, left = rng.randint(-30, 30), rng.randint(-99, 99)
    if slope == moved:
        moved += 1
    right = (slope - moved) * root + left
    equation = f"{_polynomial([left, slope], variable)} = {_polynomial([right, moved], variable)}"
    return f"Solve {equation} for {variable}.", str(root)


def linear_2d(rng: Random) -> Question:
    first, second = sorted(rng.sample("abcdghjklmnpqrstuvwxyz", 2))
    x, y = rng.randint(-20, 20), rng.randint(-20, 20)
    while True:
        a, b, c, d = (rng.randint(1, 40) * rng.choice((1, -1)) for _ in range(4))
        if a * d != b * c:
            break

    def row(p: int, q: int) -> str:
        sign = "-" if q < 0 else "+"
        return f"{p}*{first} {sign} {abs(q)}*{second} = {p * x + q * y}"

    return f"Solve {row(a, b)}, {row(c, d)} for {first}.", str(x)


def _coefficients(rng: Random, degree: int) -> list[int]:
    numbers = [rng.randint(-30, 30) for _ in range(degree)]
    return [*numbers, rng.choice((-1, 1)) * rng.randint(1, 30)]


def evaluate(rng: Random) -> Question:
    name, variable = rng.choice("fghjkmpqrsvw"), rng.choice("abcdnoxyz")
    coefficients, at = _coefficients(rng, rng.randint(2, 3)), rng.randint(-9, 9)
    value = sum(value * at**power for power, value in enumerate(coefficients))
    verb = rng.choice(("Give", "What is", "Determine", "Calculate"))
    end = "?" if verb == "What is" else "."
    polynomial = _polynomial(coefficients, variable)
    return f"Let {name}({variable}) = {polynomial}. {verb} {name}({at}){end}", str(value)


def differentiate(rng: Random) -> Question:
    variable = rng.choice("abcdghjknpqrstuvwxyz")
    coefficients = _coefficients(rng, rng.randint(2, 5))
    slopes = [power * value for power, value in enumerate(coefficients)][1:]
    templates = ("What is the derivative of {} wrt {}?", "Differentiate {} with respect to {}.")
    question = rng.choice(templates).format(_polynomial(coefficients, variable), variable)
    return question, _polynomial(slopes, variable)


def expand(rng: Random) -> Question:
    variable = rng.choice("abcdghjknpqrstuvwxyz")
    first, second = _coefficients(rng, 1), _coefficients(rng, rng.randint(1, 2))
    product = [0] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            product[i + j] += a * b
    factors = f"({_polynomial(first, variable)})*({_polynomial(second, variable)})"
    return f"Expand {factors}.", _polynomial(product, variable)


def next_term(rng: Random) -> Question:
    coefficients = _coefficients(rng, rng.randint(1, 2))
    terms = [sum(v * n**p for p, v in enumerate(coefficients)) for n in range(1, rng.randint(6, 8))]
    *shown, answer = map(str, terms)
    return f"What is the next term in {', '.join(shown)}?", answer


def nth_term(rng: Random) -> Question:
    coefficients, variable = _coefficients(rng, rng.randint(1, 3)), rng.choice("abcdghjklmn")
    shown = (sum(v * n**p for p, v in enumerate(coefficients)) for n in range(1, 7))
    question = f"What is the {variable}'th term of {', '.join(map(str, shown))}?"
    return question, _polynomial(coefficients, variable)


def probability(rng: Random) -> Question:
    letters = rng.sample("abcdefghijklmnopqrstuvwxyz", 2)
    counts = [rng.randint(2, 9), rng.randint(1, 9)]
    ways = Fraction(math.comb(counts[0], 2), math.comb(sum(counts), 2))
    bag = ", ".join(f"{letter}: {count}" for letter, count in zip(letters, counts, strict=True))
    question = "Two letters picked without replacement from {%s}. What is prob of picking 2 %s?"
    return question % (bag, letters[0]), str(ways)


MODULES: tuple[Callable[[Random], Question], ...] = (
    add_or_sub, multiply, divide, remainder, gcd, lcm, is_prime, list_prime_factors, sort,
    kth_biggest, closest, base_conversion, place_value, round_number, conversion,
    time, linear_1d, linear_2d, evaluate, differentiate, expand, next_term, nth_term,
    probability,
)  # fmt: skip
"""A topic is a module."""


def write(topic: int, rng: Random) -> str:
    """Questions of one module, each followed by its answer on a line of its own."""
    length = rng.randint(600, 1500)
    text = ""
    while len(text) < length:
        text += "\n".join(MODULES[topic % len(MODULES)](rng)) + "\n"
    return text.strip()
