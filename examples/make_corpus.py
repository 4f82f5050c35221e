"""Writes the example corpus: pages that look scraped, with mathematics among navigation, spam and timetables.

In: a seed. Out: the files of corpus/, the same bytes for the same seed (and the same zlib and zstd libraries).
Everything is made up here, including names and places; the arithmetic is right, and checked before anything is written.
README.md in this folder describes the fields. Does not score: see models/demo/contrast.py.

    python examples/make_corpus.py --out examples/corpus
"""
import argparse, gzip, json, random, re
from fractions import Fraction
from math import gcd
from pathlib import Path

import zstandard

# ---------------------------------------------------------------------------------------------------------------- words

GIRLS = "Nadia Ines Priya Marta Leila Tess Odile Hana Ruth Yara Bianca Sunniva Abena Clara Mei Ingrid".split()
BOYS = "Omar Felix Tariq Jonas Pavel Kofi Diego Anton Ravi Callum Bruno Emil Haruto Luca Idris Sander".split()
THINGS = ("notebooks pens erasers stickers apples oranges muffins candles balloons marbles postcards bracelets rulers "
          "cookies sandwiches plants puzzles magnets crayons mugs").split()
PLACES = "bakery library school farm garden shop museum bookstore club market".split()
SYLLABLES = ("zar vel ško mun tö rik hal wy dro jen qua bré oth lim sva nje pol ix gra ün tash fjo mer ka ýl dun "
             "ost ber chi rov ålt win gar pó esk ham lü tre").split()
ROADS = "Street Lane Hill Cross Bridge Depot Hospital Park Station Mill Quay Gate Works Terminus".split()
ADJECTIVES = "ergonomic brushed foldable wireless matte heavy-duty vintage waterproof compact quilted rustic modular".split()
GOODS = ("bracket kettle lamp duvet hinge router mat faucet drill bit tarp shelf grinder blender gasket rug valve "
         "charger hoodie caster tripod planter").split()
MATERIALS = "oak PVC steel bamboo nylon zinc ABS cotton brass cork acrylic".split()
BUZZ = ("casino crypto keto pills forex slots loans backlinks followers jackpot airdrop leads SEO replica watches "
        "essay hosting torrent bonus signals").split()
MENU = ("Home|About us|Contact|Forum|Shop|Sign in|Register|My account|Blog|Events|Gallery|Archive|Downloads|Help|FAQ|"
        "Careers|Press|Sitemap|Wishlist|Donate|Members|Links|Newsletter|RSS|Store locator|Gift cards").split("|")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()


class Words:
    """All randomness comes from here, so that one seed determines the whole corpus."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def one(self, options):
        return self.rng.choice(options)

    def some(self, options, count):
        return self.rng.sample(options, count)

    def number(self, low, high):
        return self.rng.randint(low, high)

    def chance(self, p):
        return self.rng.random() < p

    def person(self):
        """(name, she, her) or (name, he, his)"""
        return (self.one(GIRLS), "she", "her") if self.chance(0.5) else (self.one(BOYS), "he", "his")

    def proper(self):
        return "".join(self.some(SYLLABLES, self.number(2, 3))).capitalize()

    def code(self):
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        pattern = self.one(["AA-0000-A", "A0A-00A0", "000-AAA-00", "AAA0000", "00A/0000.0", "A-00000-AA"])
        return "".join(self.one(letters) if c == "A" else str(self.number(0, 9)) if c == "0" else c for c in pattern)

    def user(self):
        return self.one([f"{self.proper().lower()}{self.number(1, 2009)}", f"{self.one(ADJECTIVES)}_{self.one(GOODS)}",
                         f"xX{self.proper()}Xx", f"{self.proper()}.{self.proper()[:1]}", f"guest{self.number(1000, 99999)}"])

    def host(self):
        return f"{self.proper().lower()}.example".encode("ascii", "ignore").decode()

    def clock(self, low=5, high=23):
        return f"{self.number(low, high):02}:{self.number(0, 59):02}"

    def date(self):
        day, month, year = self.number(1, 28), self.number(1, 12), self.number(2003, 2019)
        return self.one([f"{day:02}.{month:02}.{year}", f"{MONTHS[month - 1]} {day}, {year}", f"{year}-{month:02}-{day:02}"])


# --------------------------------------------------------------------------------------------------------- word problems
# Each returns (question, lines of the solution, answer). The numbers are drawn so that every step gives an integer.

def shopping(w):
    name, he, his = w.person()
    a, b = w.some(THINGS, 2)
    n, m, p, q = w.number(2, 9), w.number(2, 9), w.number(2, 9), w.number(1, 6)
    total = n * p + m * q
    note = next(note for note in (20, 50, 100, 200) if note > total)
    question = w.one([
        f"{name} buys {n} {a} for ${p} each and {m} {b} for ${q} each. If {he} pays with ${note}, how much change does {he} get?",
        f"At the market, {a} cost ${p} each and {b} cost ${q} each. {name} buys {n} {a} and {m} {b} and gives the seller ${note}. How many dollars does {he} get back?",
        f"{name} has ${note}. {he.capitalize()} buys {n} {a} at ${p} each and {m} {b} at ${q} each. How much money does {he} have left?"])
    return question, [
        f"The {a} cost {n} @ {p} = ${n * p}.",
        f"The {b} cost {m} @ {q} = ${m * q}.",
        f"In total {name} spends {n * p} + {m * q} = ${total}.",
        f"So {name} has {note} - {total} = ${note - total} left."], note - total


def reading(w):
    name, he, his = w.person()
    days, first, more = w.number(3, 7), w.number(12, 30), w.number(4, 12)
    second = first + more
    read = days * first + 2 * second
    pages = read + 10 * w.number(2, 12)
    question = w.one([
        f"{name} is reading a book of {pages} pages. {he.capitalize()} reads {first} pages a day for {days} days, and then {more} more pages a day than before for the next 2 days. How many pages does {he} still have to read?",
        f"A book has {pages} pages. For {days} days {name} reads {first} pages each day. On each of the 2 days after that, {he} reads {more} more pages than that. How many pages are left?"])
    return question, [
        f"In the first {days} days {name} reads {days} @ {first} = {days * first} pages.",
        f"After that {he} reads {first} + {more} = {second} pages a day.",
        f"In 2 days that is 2 @ {second} = {2 * second} pages.",
        f"So far {he} has read {days * first} + {2 * second} = {read} pages.",
        f"There are {pages} - {read} = {pages - read} pages left."], pages - read


def times_as_many(w):
    thing = w.one(THINGS)
    (a, _, _), (b, _, _), c = w.person(), w.person(), w.one(GIRLS)
    while len({a, b, c}) < 3:
        (a, _, _), (b, _, _), c = w.person(), w.person(), w.one(GIRLS)
    n, k, m = w.number(4, 25), w.number(2, 4), w.number(3, 15)
    times = {2: "twice", 3: "three times", 4: "four times"}[k]
    total = n + n * k + n * k + m
    question = w.one([
        f"{a} has {n} {thing}. {b} has {times} as many {thing} as {a}, and {c} has {m} more {thing} than {b}. How many {thing} do they have altogether?",
        f"{b} has {times} as many {thing} as {a}. {c} has {m} more than {b}. If {a} has {n} {thing}, how many {thing} do the three of them have in total?"])
    return question, [
        f"{b} has {k} @ {n} = {n * k} {thing}.",
        f"{c} has {n * k} + {m} = {n * k + m} {thing}.",
        f"Altogether they have {n} + {n * k} + {n * k + m} = {total} {thing}."], total


def packing(w):
    thing, place = w.one(THINGS), w.one(PLACES)
    per_bag, bags, price = w.number(4, 12), w.number(5, 15), w.number(2, 9)
    lost = w.number(2, 9)
    made = per_bag * bags + lost
    question = w.one([
        f"A {place} has {made} {thing}, but {lost} of them are damaged. The rest are packed in bags of {per_bag}. Each bag is sold for ${price}. How much money does the {place} make?",
        f"The workers of a {place} have {made} {thing}. They throw away {lost} {thing} and put the others in bags of {per_bag}. If each bag costs ${price}, how much are all the bags worth?"])
    return question, [
        f"There are {made} - {lost} = {made - lost} good {thing}.",
        f"They fill {made - lost} / {per_bag} = {bags} bags.",
        f"The bags are worth {bags} @ {price} = ${bags * price}."], bags * price


def wages(w):
    name, he, his = w.person()
    rate, hours, extra, weekend = w.number(9, 25), w.number(4, 8), w.number(2, 8), w.number(3, 9)
    weekly = rate * hours * 5 + (rate + extra) * weekend
    question = w.one([
        f"{name} earns ${rate} an hour. {he.capitalize()} works {hours} hours a day from Monday to Friday, and {weekend} hours on Saturday, when {he} earns ${extra} more an hour. How much does {he} earn in a week?",
        f"{name} works at a {w.one(PLACES)} for {hours} hours a day, 5 days a week, and is paid ${rate} per hour. On Saturday {he} works {weekend} more hours and is paid ${extra} more per hour. How much money does {he} make each week?"])
    return question, [
        f"From Monday to Friday {name} works 5 @ {hours} = {5 * hours} hours.",
        f"For this {he} earns {5 * hours} @ {rate} = ${5 * hours * rate}.",
        f"On Saturday {he} earns {rate} + {extra} = ${rate + extra} an hour, which makes {weekend} @ {rate + extra} = ${weekend * (rate + extra)}.",
        f"In a week {he} earns {5 * hours * rate} + {weekend * (rate + extra)} = ${weekly}."], weekly


def journey(w):
    name, he, his = w.person()
    v, t, u, s = 5 * w.number(6, 13), w.number(2, 5), 5 * w.number(6, 13), w.number(2, 4)
    total = v * t + u * s
    question = w.one([
        f"{name} drives for {t} hours at {v} miles per hour and then for {s} hours at {u} miles per hour. How many miles does {he} drive in total?",
        f"On the first day of {his} trip, {name} drove {t} hours at a speed of {v} miles per hour. On the second day {he} drove {s} hours at {u} miles per hour. How far did {he} travel on the two days?"])
    return question, [
        f"First {name} drives {t} @ {v} = {v * t} miles.",
        f"Then {he} drives {s} @ {u} = {u * s} miles.",
        f"In total {he} drives {v * t} + {u * s} = {total} miles."], total


def discount(w):
    name, he, his = w.person()
    thing, price, percent, count = w.one("jacket lamp chair backpack bicycle radio desk".split()), 20 * w.number(2, 12), w.one([10, 20, 25, 30, 40]), w.number(2, 5)
    off = price * percent // 100
    final = price - off
    question = w.one([
        f"A {thing} costs ${price}. During a sale it is {percent}% cheaper. How much does {name} pay for {count} of them?",
        f"{name} wants to buy {count} {thing}s. The regular price of a {thing} is ${price}, but there is a {percent}% discount. How much does {he} have to pay?"])
    if price * percent % 100:
        return discount(w)
    return question, [
        f"The discount is {percent}/100 @ {price} = ${off}.",
        f"So one {thing} costs {price} - {off} = ${final}.",
        f"{count} of them cost {count} @ {final} = ${count * final}."], count * final


def share_of_class(w):
    part, other = w.one([2, 3, 4]), w.one([2, 3, 5])
    rest = other * w.number(3, 12)
    if rest % (part - 1):
        return share_of_class(w)
    total = rest // (part - 1) * part
    word = {2: "half", 3: "a third", 4: "a quarter"}[part]
    second = {2: "half", 3: "a third", 5: "a fifth"}[other]
    kind, activity, next_one = w.one(["students", "children", "guests", "members"]), *w.some(["play football", "sing in the choir", "play chess", "learn the piano", "paint"], 2)
    question = w.one([
        f"There are {total} {kind}. {word.capitalize()} of them {activity}, and {second} of the rest {next_one}. How many {kind} do neither?",
        f"In a group of {total} {kind}, {word} {activity}. Of the other {kind}, {second} {next_one}. How many of the {kind} do something else?"])
    return question, [
        f"{total} / {part} = {total // part} {kind} {activity}.",
        f"The rest is {total} - {total // part} = {rest} {kind}.",
        f"Of these, {rest} / {other} = {rest // other} {next_one}.",
        f"So {rest} - {rest // other} = {rest - rest // other} {kind} are left."], rest - rest // other


def saving(w):
    name, he, his = w.person()
    weekly, weeks, has, spent = w.number(5, 25), w.number(4, 16), 5 * w.number(2, 12), w.number(1, 4)
    cost = has + (weekly - spent) * weeks
    thing = w.one(["bike", "guitar", "camera", "tent", "skateboard", "telescope"])
    question = w.one([
        f"{name} wants to buy a {thing} that costs ${cost}. {he.capitalize()} already has ${has}. Each week {he} gets ${weekly} and spends ${spent} of it. How many weeks does {he} have to save?",
        f"A {thing} costs ${cost}. {name} has saved ${has} so far. {he.capitalize()} earns ${weekly} a week, but spends ${spent} of that on snacks. After how many weeks can {he} buy the {thing}?"])
    return question, [
        f"{name} still needs {cost} - {has} = ${cost - has}.",
        f"Each week {he} saves {weekly} - {spent} = ${weekly - spent}.",
        f"So {he} needs {cost - has} / {weekly - spent} = {weeks} weeks."], weeks


def ages(w):
    (a, he, his), (b, _, _) = w.person(), w.person()
    if a == b:
        return ages(w)
    age, k, years = w.number(4, 14), w.number(2, 4), w.number(3, 12)
    times = {2: "twice", 3: "three times", 4: "four times"}[k]
    total = age + k * age + 2 * years
    question = w.one([
        f"{a} is {age} years old. {b} is {times} as old as {a}. What will be the sum of their ages in {years} years?",
        f"{b} is {times} as old as {a}, who is {age} years old. How old will the two of them be together {years} years from now?"])
    return question, [
        f"{b} is {k} @ {age} = {k * age} years old.",
        f"In {years} years {a} will be {age} + {years} = {age + years} and {b} will be {k * age} + {years} = {k * age + years} years old.",
        f"The sum of their ages will be {age + years} + {k * age + years} = {total}."], total


def fence(w):
    name, he, his = w.person()
    length, width, price = w.number(8, 40), w.number(5, 25), w.number(2, 12)
    around = 2 * (length + width)
    question = w.one([
        f"{name} has a garden that is {length} feet long and {width} feet wide. A fence costs ${price} per foot. How much does it cost to put a fence around the garden?",
        f"A rectangular field is {length} feet by {width} feet. How much does {name} pay for a fence around it, if one foot of fence costs ${price}?"])
    return question, [
        f"Half of the way around is {length} + {width} = {length + width} feet.",
        f"The whole fence is 2 @ {length + width} = {around} feet long.",
        f"It costs {around} @ {price} = ${around * price}."], around * price


def tickets(w):
    adults, children, price, less = w.number(20, 90), w.number(15, 80), w.number(7, 20), w.number(2, 5)
    event = w.one(["concert", "play", "puppet show", "football game", "magic show"])
    low = price - less
    question = w.one([
        f"Tickets for a {event} cost ${price} for adults and ${less} less for children. {adults} adults and {children} children come to the {event}. How much money is collected?",
        f"{adults} adults and {children} children went to a {event}. An adult ticket costs ${price}, and a ticket for a child costs ${less} less. How much did they pay in total?"])
    return question, [
        f"The adults pay {adults} @ {price} = ${adults * price}.",
        f"A ticket for a child costs {price} - {less} = ${low}.",
        f"The children pay {children} @ {low} = ${children * low}.",
        f"Together they pay {adults * price} + {children * low} = ${adults * price + children * low}."], adults * price + children * low


def recipe(w):
    name, he, his = w.person()
    cups, eggs, factor, days = w.number(2, 6), w.number(2, 5), w.number(2, 6), w.number(2, 4)
    question = w.one([
        f"One cake needs {cups} cups of flour and {eggs} eggs. {name} bakes {factor} cakes a day for {days} days. How many eggs does {he} need?",
        f"{name} needs {eggs} eggs and {cups} cups of flour for a cake. If {he} bakes {factor} cakes each day, how many eggs will {he} use in {days} days?"])
    return question, [
        f"In one day {name} uses {factor} @ {eggs} = {factor * eggs} eggs.",
        f"In {days} days {he} uses {days} @ {factor * eggs} = {days * factor * eggs} eggs."], days * factor * eggs


def average(w):
    name, he, his = w.person()
    scores = [w.number(60, 99) for _ in range(3)]
    goal = w.number(max(70, (sum(scores) + 3) // 4), (sum(scores) + 100) // 4)
    needed = 4 * goal - sum(scores)
    if not 0 <= needed <= 100:
        return average(w)
    listed = f"{scores[0]}, {scores[1]} and {scores[2]}"
    question = w.one([
        f"{name} got {listed} points on {his} first three tests. How many points does {he} need on the fourth test to have an average of {goal}?",
        f"The scores of {name} on three tests are {listed}. What score does {he} need on the next test so that {his} average is {goal}?"])
    return question, [
        f"So far {name} has {' + '.join(map(str, scores))} = {sum(scores)} points.",
        f"For an average of {goal} on four tests {he} needs 4 @ {goal} = {4 * goal} points.",
        f"So {he} needs {4 * goal} - {sum(scores)} = {needed} points on the fourth test."], needed


def machines(w):
    count, rate, hours, thing = w.number(3, 12), w.number(15, 60), w.number(4, 10), w.one(THINGS)
    bad = w.number(5, 40)
    made = count * rate * hours
    question = w.one([
        f"A factory has {count} machines. Each machine makes {rate} {thing} an hour. If the machines run for {hours} hours and {bad} {thing} are thrown away, how many {thing} are left?",
        f"Each of the {count} machines in a factory makes {rate} {thing} per hour. On Monday they worked {hours} hours, but {bad} {thing} were broken. How many good {thing} did the factory make?"])
    return question, [
        f"In one hour the machines make {count} @ {rate} = {count * rate} {thing}.",
        f"In {hours} hours they make {hours} @ {count * rate} = {made} {thing}.",
        f"There are {made} - {bad} = {made - bad} {thing} left."], made - bad


def minutes(w):
    name, he, his = w.person()
    daily, days = 5 * w.number(4, 18), w.number(4, 12)
    if daily * days % 60:
        return minutes(w)
    question = w.one([
        f"{name} practices the piano for {daily} minutes a day. How many hours does {he} practice in {days} days?",
        f"It takes {name} {daily} minutes to walk to school and back. How many hours does {he} walk in {days} days?"])
    return question, [
        f"In {days} days that is {days} @ {daily} = {days * daily} minutes.",
        f"There are 60 minutes in an hour, so it is {days * daily} / 60 = {days * daily // 60} hours."], days * daily // 60


WORD_PROBLEMS = [shopping, reading, times_as_many, packing, wages, journey, discount, share_of_class, saving, ages, fence,
                 tickets, recipe, average, machines, minutes]

# ------------------------------------------------------------------------------------------------------ other mathematics


def linear(w):
    a, b, x = w.number(2, 9), w.number(1, 30), w.number(2, 15)
    c = a * x + b
    return w.one([f"Solve the equation {a}x + {b} = {c}.", f"Find the value of $x$ if ${a}x + {b} = {c}$."]), [
        f"Subtract {b} from both sides: {a}x = {c} - {b} = {c - b}.",
        f"Divide both sides by {a}: x = {c - b} / {a} = {x}."], x


def quadratic(w):
    p, q = sorted(w.some(range(1, 12), 2))
    return f"Solve $x^2 - {p + q}x + {p * q} = 0$.", [
        f"We look for two numbers whose sum is {p + q} and whose product is {p * q}. They are {p} and {q}, because {p} + {q} = {p + q} and {p} @ {q} = {p * q}.",
        f"So $x^2 - {p + q}x + {p * q} = (x - {p})(x - {q})$.",
        f"The solutions are $x = {p}$ and $x = {q}$."], f"{p} and {q}"


def euclid(w):
    g = w.number(2, 18)
    a, b = g * w.number(12, 40), g * w.number(5, 11)
    lines, x, y = [], a, b
    while y:
        lines.append(f"{x} = {x // y} @ {y} + {x % y}." if x % y else f"{x} = {x // y} @ {y}, with remainder 0.")
        x, y = y, x % y
    return f"Find the greatest common divisor of {a} and {b}.", [
        "Divide the larger number by the smaller, and go on with the remainder:", *lines,
        f"The last remainder that is not zero is {x}."], x


def series(w):
    n, first, step = w.number(8, 40), w.number(1, 12), w.number(2, 7)
    last = first + (n - 1) * step
    if n * (first + last) % 2:
        return series(w)
    return f"Find the sum of the first {n} terms of the sequence {first}, {first + step}, {first + 2 * step}, ...", [
        f"Each term is {step} more than the term before it. The last term is {first} + {n - 1} @ {step} = {last}.",
        f"The first and the last term add up to {first} + {last} = {first + last}, and so does every such pair.",
        f"The sum is {n} @ {first + last} / 2 = {n * (first + last) // 2}."], n * (first + last) // 2


def fractions(w):
    b, d = w.some(range(2, 10), 2)
    a, c = w.number(1, b - 1), w.number(1, d - 1)
    m = b * d // gcd(b, d)
    total = Fraction(a, b) + Fraction(c, d)
    lines = [f"The common denominator is {m}.",
             f"$\\frac{{{a}}}{{{b}}} = \\frac{{{a * m // b}}}{{{m}}}$ and $\\frac{{{c}}}{{{d}}} = \\frac{{{c * m // d}}}{{{m}}}$.",
             f"The numerators add up to {a * m // b} + {c * m // d} = {a * m // b + c * m // d}."]
    return f"Add $\\frac{{{a}}}{{{b}}}$ and $\\frac{{{c}}}{{{d}}}$.", lines, str(total)


def marbles(w):
    colours = w.some(["red", "blue", "green", "white", "yellow"], 3)
    counts = [w.number(2, 9) for _ in range(3)]
    total = sum(counts)
    chance = Fraction(counts[0], total)
    lines = [f"There are {' + '.join(map(str, counts))} = {total} marbles in the bag.",
             f"{counts[0]} of them are {colours[0]}, so the probability is {counts[0]}/{total}."]
    if chance.denominator != total:
        lines.append(f"This can be simplified to {chance}.")
    return (f"A bag holds {counts[0]} {colours[0]} marbles, {counts[1]} {colours[1]} marbles and {counts[2]} {colours[2]} marbles. "
            f"What is the probability that a marble taken at random is {colours[0]}?"), lines, str(chance)


def triangle(w):
    a, b, c = w.one([(3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25)])
    k = w.number(1, 4)
    a, b, c = a * k, b * k, c * k
    return f"The legs of a right triangle are {a} and {b}. How long is the hypotenuse?", [
        f"By the Pythagorean theorem, c^2 = {a}^2 + {b}^2.",
        f"The squares are {a} @ {a} = {a * a} and {b} @ {b} = {b * b}.",
        f"Their sum is {a * a} + {b * b} = {a * a + b * b}.",
        f"Since {c} @ {c} = {c * c}, the hypotenuse is {c}."], c


def interest(w):
    money, rate, years = 100 * w.number(2, 40), w.number(2, 8), w.number(2, 6)
    yearly = money * rate // 100
    return f"${money} is lent at a simple interest of {rate}% a year. How much has to be paid back after {years} years?", [
        f"The interest for one year is {rate}/100 @ {money} = ${yearly}.",
        f"For {years} years it is {years} @ {yearly} = ${years * yearly}.",
        f"So {money} + {years * yearly} = ${money + years * yearly} has to be paid back."], money + years * yearly


def pair(w):
    small, difference = w.number(3, 40), w.number(2, 30)
    large = small + difference
    total = large + small
    return f"The sum of two numbers is {total} and their difference is {difference}. Find the two numbers.", [
        f"Let x be the smaller number. Then the larger number is x + {difference}.",
        f"So 2x + {difference} = {total}, and 2x = {total} - {difference} = {2 * small}.",
        f"The smaller number is {2 * small} / 2 = {small}, and the larger number is {small} + {difference} = {large}."], f"{small} and {large}"


def factors(w):
    primes = sorted(w.one([2, 2, 2, 3, 3, 5, 7, 11]) for _ in range(w.number(3, 5)))
    n = 1
    for p in primes:
        n *= p
    lines, rest = [], n
    for p in primes[:-1]:
        lines.append(f"{rest} / {p} = {rest // p}.")
        rest //= p
    return f"Write {n} as a product of prime numbers.", [
        "Divide by the smallest prime number as long as possible:", *lines, f"{rest} is a prime number.",
        f"So the product is {' @ '.join(map(str, primes))} = {n}."], " @ ".join(map(str, primes))


def proof(w):
    n, k = w.some("n m k a".split(), 2)
    return w.one([
        ("Show that the sum of two odd numbers is even.",
         [f"Every odd number is one more than twice a whole number. Let the two numbers be 2{n} + 1 and 2{k} + 1.",
          f"Their sum is 2{n} + 2{k} + 2 = 2({n} + {k} + 1).", "This is twice a whole number, so the sum is even."]),
        ("Show that the product of two consecutive numbers is even.",
         [f"Let the numbers be {n} and {n} + 1.", f"If {n} is even, the product {n}({n} + 1) is even.",
          f"If {n} is odd, then {n} + 1 is even, so the product is even as well."]),
        (f"Show that the difference of the squares of {n} + 1 and {n} is odd.",
         [f"The square of {n} + 1 is {n}^2 + 2{n} + 1.", f"If we subtract {n}^2, then 2{n} + 1 is left.",
          "This is one more than twice a whole number, so it is odd."])]) + (None,)


OTHER_MATHEMATICS = [linear, quadratic, euclid, series, fractions, marbles, triangle, interest, pair, factors, proof]


def problem(w, number, times):
    """One worked problem as it appears on a page. `times` is the page's multiplication sign."""
    question, lines, answer = w.one(WORD_PROBLEMS if w.chance(0.7) else OTHER_MATHEMATICS)(w)
    lines = [line.replace("@", times) for line in lines]
    if answer is not None and w.chance(0.6):
        lines.append(w.one(["The answer is {}.", "Answer: {}", "So the answer is {}."]).format(str(answer).replace("@", times)))
    head, middle = w.one([
        ("Question: ", "\nAnswer: "), (f"Problem {number}. ", "\nSolution. "), (f"{number}. ", "\n"),
        (f"Example {number}: ", "\n\nSolution:\n"), ("Q: ", "\nA: "), ("", "\n"), (f"Exercise {number}\n", "\n\n")])
    return head + question + middle + w.one(["\n", "\n", " "]).join(lines)


# ----------------------------------------------------------------------------------------------------------------- junk

def navigation(w):
    items = w.some(MENU, w.number(5, 11))
    return w.one([" | ", " » ", "\n", " · ", "\n* ", " / "]).join(items)


def breadcrumb(w):
    return "You are here: " + " > ".join(["Home", *w.some(MENU, 2), w.proper(), f"page {w.number(2, 87)}"])


def cookies(w):
    return w.one([
        f"This site uses cookies ({w.number(14, 612)} partners). By clicking \"Accept all\" you consent to storage on your device. [Accept all] [Reject] [Preferences]",
        f"🍪 We value your privacy! Manage consent • Legitimate interest • Vendors ({w.number(30, 900)}) • Save & exit",
        f"Cookie settings: ☑ Strictly necessary ☐ Analytics ☐ Targeting _ga_{w.code()} expires {w.number(1, 24)} mo. Privacy policy updated {w.date()}"])


def spam(w):
    a, b, c = w.some(BUZZ, 3)
    return w.one([
        f"{w.user()} says:\n{w.date()} at {w.clock()}\nNice blog!! visit http://{w.host()}/{a}-{b} for best {c} {w.number(100, 999)}% guaranteed!!! whatsapp +{w.number(10, 99)} 555 01{w.number(10, 99)}",
        f"★★★ {a.upper()} {b.upper()} ★★★ cheap {c} no prescription free shipping >>> {w.host()} <<< code {w.code()}",
        f"hello dear i am {w.proper()} {w.proper()} from {w.proper()}, hacker of {a} recover your lost {b} telegram @{w.user()} thank me later 🙏🙏",
        f"[url=http://{w.host()}/?ref={w.number(1000, 99999)}]{a} {b}[/url] [url=http://{w.host()}]buy {c} online[/url] {w.proper()} {w.proper()}"])


def bus(w):
    stops = [f"{w.proper()} {w.one(ROADS)}" for _ in range(w.number(4, 8))]
    head = f"Line {w.number(1, 99)}{w.one(['', 'A', 'X', 'N'])}  {stops[0]} - {stops[-1]}   valid from {w.date()}   {w.one(['Mon-Fri', 'Sat', 'Sun+hol.', 'school days'])}"
    rows = [f"{stop:<24}" + "  ".join(w.one(["|", "--"]) if w.chance(0.12) else w.clock() for _ in range(5)) for stop in stops]
    return "\n".join([head, *rows, w.one(["a) not on 24 Dec", "R = request stop", "operated by " + w.proper() + " Transit"])])


def trains(w):
    rows = [f"{w.clock()}  {w.one(['IC', 'RE', 'S', 'EN', 'RB'])} {w.number(2, 2999):>4}  {w.proper()} {w.one(['Hbf', 'Central', 'Nord', 'Junction', 'Pl.'])}  pl. {w.number(1, 14)}{w.one('abc ')} {w.one(['on time', '+' + str(w.number(3, 55)) + ' min', 'cancelled', 'via ' + w.proper()])}"
            for _ in range(w.number(5, 10))]
    return "\n".join([f"DEPARTURES {w.proper().upper()}  {w.date()}", *rows])


def products(w):
    rows = []
    for _ in range(w.number(4, 8)):
        name = f"{w.proper()} {w.one(ADJECTIVES)} {w.one(MATERIALS)} {w.one(GOODS)}"
        rows.append(w.one([
            f"{name} {w.number(10, 240)}x{w.number(4, 90)}mm SKU {w.code()} €{w.number(3, 399)},{w.number(0, 99):02} Add to cart",
            f"[{w.code()}] {name} ({w.number(0, 340)} reviews) was £{w.number(20, 90)}.{w.number(0, 99):02} in stock: {w.one(['yes', 'no', 'backorder', str(w.number(1, 80))])}",
            f"{name} / art.nr {w.code()} / EAN {w.number(10**12, 10**13 - 1)} / {w.one(['grey', 'ivory', 'teal', 'walnut'])}"]))
    return "\n".join(rows)


def signature(w):
    return w.one([
        f"__________________\n{w.user()} | {w.proper()} {w.number(2, 9)}.{w.number(0, 9)} | {w.number(4, 64)}GB | GFX-{w.number(200, 990)}Ti | \"{w.proper()} {w.proper().lower()} {w.proper().lower()}\"",
        f"--\n{w.proper()} {w.proper()}\nJoined: {w.date()}  Posts: {w.number(3, 28000)}  Karma: {w.number(-40, 900)}  Location: {w.proper()}",
        f"~*~ {w.proper()} fanclub moderator ~*~ PM me ~*~ {w.host()} ~*~"])


def login(w):
    return w.one([
        "Username: [________] Password: [________] [ ] Remember me   Forgot your password?  Log in with SSO",
        f"You must be logged in to reply. Session {w.code()}-{w.code()} expired. Captcha: type \"{w.code().lower()}\"",
        f"Welcome, Guest. Please login or register. {w.date()}, {w.clock()} | {w.number(2, 40)} users, {w.number(40, 900)} guests online: {w.user()}, {w.user()}, {w.user()}"])


def markup(w):
    return w.one([
        f"<div class=\"col-md-{w.number(1, 12)} {w.proper().lower()}\"><span style=\"color:#{w.number(0, 0xffffff):06x}\">&nbsp;&raquo;</spn></td><img src=\"/img/{w.code()}.gif\" width={w.number(1, 480)}",
        f"window.dataLayer=window.dataLayer||[];gtag('config','UA-{w.number(10**6, 10**7)}-{w.number(1, 9)}');}}}});//]]>",
        f"{{{{Infobox|name={w.proper()}|img=[[File:{w.proper()}_{w.number(1, 99)}.jpg|{w.number(90, 300)}px]]|ref name=\"{w.proper().lower()}\" /}}}} â€™ Ã© &#82{w.number(10, 30)};"])


def footer(w):
    return w.one([
        f"© {w.number(1999, 2019)} {w.proper()} {w.one(['GmbH', 'Ltd', 'S.r.l.', 'Oy', 'd.o.o.'])} VAT {w.code()} Tel. 555-01{w.number(10, 99)} Imprint Terms Privacy",
        f"Powered by {w.proper()}BB {w.number(1, 4)}.{w.number(0, 30)} © Theme by {w.proper()} | Page generated in 0.{w.number(10, 990)}s | {w.number(5, 90)} queries",
        f"Last modified {w.date()} {w.clock()} by {w.user()} | Hits: {w.number(100, 999999)} | Print | Share on ▢ ▢ ▢ | Top ↑"])


def server_log(w):
    return "\n".join(
        f"{w.one(['192.0.2', '198.51.100', '203.0.113'])}.{w.number(1, 254)} - - [{w.number(1, 28):02}/{w.one(MONTHS)}/{w.number(2003, 2019)}:{w.clock()}:{w.number(0, 59):02}] \"GET /{w.proper().lower()}/{w.code()} HTTP/1.1\" {w.one([200, 301, 404, 503])} {w.number(90, 99999)}"
        for _ in range(w.number(3, 7)))


def members(w):
    return "Member list\n" + "\n".join(f"{w.proper()} {w.proper()}, {w.proper()} ({w.number(1931, 2001)}) {w.code()}" for _ in range(w.number(5, 12)))


def results(w):
    return f"{w.one(['Liga', 'Division', 'Kreisklasse', 'Cup'])} {w.number(1, 4)} Matchday {w.number(1, 34)}\n" + "\n".join(
        f"{w.one(DAYS)} {w.clock(13, 21)}  {w.proper()} {w.one(['FC', 'SK', 'United', '1907', 'B'])} {w.number(0, 5)}-{w.number(0, 5)} ({w.number(0, 2)}-{w.number(0, 2)}) {w.proper()} {w.one(['SV', 'Rovers', 'IF', 'Wanderers'])}"
        for _ in range(w.number(4, 8)))


def chat(w):
    lines = ["anyone got drivers for {c}?", "lol", "brb dinner", "{p} is down again :(", "try purging {c} and reboot", "kernel panic @ {c}",
             "+1", "ping {u}", "/join #{p}", "nope, segfault in lib{p}.so.{n}", "link plz", "who banned {u}??"]
    return "\n".join(f"[{w.clock()}] <{w.user()}> " + w.one(lines).format(c=w.code(), p=w.proper().lower(), u=w.user(), n=w.number(1, 9))
                     for _ in range(w.number(5, 10)))


def cloud(w):
    return "Tags: " + w.one([", ", " ", " #"]).join(f"{word} ({w.number(1, 400)})" if w.chance(0.3) else word for word in
                                                   [*w.some(BUZZ, 6), *w.some(GOODS, 4), w.proper(), w.proper(), w.proper()])


def files(w):
    return f"Index of /pub/{w.proper().lower()}/\n" + "\n".join(
        f"{w.proper().lower()}-{w.number(0, 9)}.{w.number(0, 20)}{w.one(['.tar.gz', '.rpm', '.md5', '_i386.deb', '.pdf'])}  {w.date()} {w.clock()}  {w.number(1, 999)}{w.one('KM')}"
        for _ in range(w.number(5, 10)))


def newsletter(w):
    return w.one([
        f"Subscribe to our newsletter and get {w.number(5, 30)}% off your next {w.one(ADJECTIVES)} {w.one(GOODS)}! Enter e-mail: ________ Unsubscribe anytime. Voucher {w.code()}",
        f"Trending now: {w.number(5, 21)} celebrities from {w.proper()} you won't recognise | Doctors hate this {w.one(MATERIALS)} trick | Sponsored by {w.proper()}",
        f"Related: {w.proper()} {w.one(GOODS)} review · {w.proper()} vs {w.proper()} · Top {w.number(5, 25)} {w.one(BUZZ)} {w.number(2009, 2019)}"])


def weather(w):
    return f"Station {w.proper()} ({w.number(2, 1900)} m)\n" + "\n".join(
        f"{day}  {w.number(-14, 31)}°/{w.number(-20, 19)}°  {w.number(0, 40)} mm  {w.one(['NW', 'S', 'ENE', 'var.'])} {w.number(2, 60)} km/h  {w.number(975, 1039)} hPa"
        for day in DAYS[:w.number(4, 7)])


def chatter(w):
    """Comments under a post: ordinary English that is not mathematics."""
    lines = ["thanks so much, you saved my evening!!", "bump, anyone?", "can a moderator move this to the right board please",
             "my teacher never explained this one, and the bus was late again", "lol same here", "does this page work for you on a phone?",
             "Sorry for the late reply, I was on holiday in {p} and the wifi there is awful.", "first post, please be gentle :)",
             "why are there so many ads on this site now, it used to be nice here", "edit: typo", "What font is that in your avatar?",
             "I will be offline until {d}, write to {u} instead.", "has anybody heard from {u} lately?", "^ this. locked by {u}.",
             "Off topic, but the new {g} from {p} broke after two weeks and nobody answers my mail."]
    return " ".join(w.some(lines, w.number(1, 3))).format(p=w.proper(), u=w.user(), d=w.date(), g=w.one(GOODS))


def article(w):
    """Local news and reviews: whole sentences, the junk that is hardest to recognise."""
    sentences = [
        f"{w.proper()} - The council of {w.proper()} has approved the renovation of the old {w.one(MATERIALS)} depot on {w.proper()} {w.one(ROADS)}.",
        f"Residents complain that the works, led by {w.proper()} {w.one(['Ltd', 'GmbH', 'Oy'])}, have blocked the car park since {w.date()}.",
        f"\"Nobody told us anything,\" said {w.proper()} {w.proper()}, who runs a {w.one(GOODS)} workshop nearby.",
        "A spokesman declined to comment on reports about missing invoices and asked journalists to leave the lobby.",
        f"The {w.one(ADJECTIVES)} {w.one(GOODS)} arrived late, the box was dented, and the manual came only in {w.proper()}ian.",
        f"We liked the {w.one(MATERIALS)} finish, but the {w.one(GOODS)} wobbles, and customer support hung up on our tester.",
        f"Verdict: stylish yet overpriced; look at the {w.proper()} {w.code()} instead if you can live with the noise.",
        f"The festival returns to {w.proper()} this autumn with folk dancers, a flea market and the brass band of {w.proper()}.",
        f"Heavy storms tore the roof off a sports hall near {w.proper()}; police warned motorists to avoid the {w.one(ROADS).lower()} road.",
        f"Singer {w.proper()} {w.proper()} denied rumours of a breakup and announced a documentary about her childhood in exile.",
        "Prosecutors appealed the verdict, arguing that the judge had ignored testimony by a former accountant.",
        "Read the full story with a premium subscription, or watch the clip after this advertisement."]
    return " ".join(w.some(sentences, w.number(3, 5)))


SMALL_JUNK = [chatter, navigation, breadcrumb, cookies, spam, login, markup, footer, cloud, newsletter]
LARGE_JUNK = [bus, trains, products, server_log, members, results, chat, files, weather, article]


# ---------------------------------------------------------------------------------------------------------------- pages

class Page:
    """A page under construction: blocks of text, each mathematics or not."""

    def __init__(self, w):
        self.w = w
        self.blocks = []
        self.problems = 0
        self.times = w.one(["*", "*", "*", "x", "x", "×"])

    def junk(self, *makers):
        self.blocks += [(maker(self.w), False) for maker in makers]
        return self

    def line(self, text):
        self.blocks.append((text, False))
        return self

    def mathematics(self, count=1):
        for _ in range(count):
            self.problems += 1
            self.blocks.append((problem(self.w, self.problems, self.times), True))
        return self

    def weight(self):
        """Approximate number of tokens of the demo reference: junk splits into more tokens than mathematics."""
        return sum(len(text) / (3.2 if is_math else 1.9) for text, is_math in self.blocks)

    def finish(self):
        """The text and its mathematical spans, in Unicode code points, as Python counts them."""
        text, spans = "", []
        for block, is_math in self.blocks:
            if text:
                text += self.w.one(["\n\n", "\n\n", "\n"])
            if is_math:
                spans.append([len(text), len(text) + len(block)])
            text += block
        return text, spans


def grow(page, target, add):
    """Adds blocks until the page is long enough, at most about 600 tokens."""
    while page.weight() < target:
        add(page)
    return page


def math_worksheet(w):
    page = Page(w).line(w.one(["Worksheet {}", "Word problems, sheet {}", "Practice {}", "Homework {}"]).format(w.number(1, 60)))
    return grow(page, w.number(200, 430), lambda page: page.mathematics())


def math_notes(w):
    return grow(Page(w), w.number(170, 400), lambda page: page.mathematics())


def mixed_page(w):
    page = Page(w).junk(*w.some([navigation, cookies, breadcrumb, login], 2))
    page.line(f"{w.one(['Math help', 'Homework corner', 'Worked examples', 'Practice problems'])} - {w.proper()} {w.one(['Academy', 'Tutors', 'Learning', 'School'])}")
    page.mathematics(w.number(1, 2)).junk(w.one([spam, newsletter, cloud, article])).mathematics(w.number(0, 1))
    return page.junk(w.one([footer, signature, markup])) if page.weight() < 420 else page


def mixed_forum(w):
    page = Page(w).junk(w.one([login, breadcrumb])).line(f"Re: {w.one(['help with homework', 'stuck on this one', 'word problem', 'is this right?'])}\nby {w.user()} » {w.date()} {w.clock()}")
    page.mathematics().junk(signature).line(f"{w.user()} wrote: ↑{w.date()}")
    page.mathematics().junk(chatter)
    return page.junk(w.one([spam, footer, newsletter]))


def mixed_bulletin(w):
    page = Page(w).line(f"From: {w.proper()} {w.proper()} <{w.user()}@{w.host()}>\nDate: {w.one(DAYS)}, {w.date()} {w.clock()}\nSubject: week {w.number(2, 40)}")
    return page.mathematics().junk(w.one([bus, results, members, weather, article])).mathematics()


def junk_shop(w):
    return grow(Page(w).junk(navigation, products), w.number(170, 330), lambda page: page.junk(w.one([*SMALL_JUNK, products])))


def junk_timetable(w):
    return grow(Page(w).junk(w.one([bus, trains])), w.number(170, 330), lambda page: page.junk(w.one([bus, trains, footer, cookies])))


def junk_forum(w):
    return grow(Page(w).junk(login, spam), w.number(170, 330), lambda page: page.junk(w.one([spam, signature, chat, chatter, chatter, markup])))


def junk_news(w):
    return grow(Page(w).junk(breadcrumb, article), w.number(170, 330), lambda page: page.junk(w.one([article, article, newsletter, cloud])))


def junk_listing(w):
    return grow(Page(w).junk(w.one(LARGE_JUNK)), w.number(170, 330), lambda page: page.junk(w.one(LARGE_JUNK + SMALL_JUNK)))


# The content of each file: (source, function, number of documents). Shuffled within the file.
PAGES = [("math/worksheet", math_worksheet, 55), ("mixed/page", mixed_page, 60), ("junk/shop", junk_shop, 20),
         ("junk/timetable", junk_timetable, 15), ("junk/news", junk_news, 15), ("junk/listing", junk_listing, 10)]
THREADS = [("mixed/forum", mixed_forum, 65), ("junk/forum", junk_forum, 25)]
NOTES = [("math/notes", math_notes, 35), ("mixed/bulletin", mixed_bulletin, 25), ("junk/listing", junk_listing, 10)]
TEXTS = [("worksheet", math_worksheet), ("page", mixed_page), ("thread", mixed_forum),
         ("timetable", junk_timetable), ("bulletin", mixed_bulletin), ("notes", math_notes)]


def documents(w, name, kinds):
    made = []
    for source, maker, count in kinds:
        for _ in range(count):
            text, spans = maker(w).finish()
            check_arithmetic("\n".join(text[start:end] for start, end in spans))
            made.append({"text": text, "source": source, "math": spans})
    w.rng.shuffle(made)
    return [{"id": f"{name}-{i:04}", **document} for i, document in enumerate(made)]


NUMBER = r"\$?\d+(?:/\d+)?"
EQUATION = re.compile(rf"({NUMBER}(?: [-+*/x×] {NUMBER})+) = ({NUMBER}(?: [-+*/x×] {NUMBER})*)(?![\dx^])")


def check_arithmetic(text):
    """Asserts that every `a + b = c` in the mathematics is true."""
    def value(expression):
        # Safe to evaluate: the pattern matches only digits, blanks and operators.
        return eval(re.sub(r"\d+", r"Fraction(\g<0>)", expression.replace("$", "").replace("x", "*").replace("×", "*")))
    for left, right in EQUATION.findall(text):
        assert value(left) == value(right), f"wrong arithmetic: {left} = {right}"


def main():
    parser = argparse.ArgumentParser(description="write the example corpus")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    w = Words(args.seed)

    def json_lines(name, kinds):
        return "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents(w, name, kinds)).encode()

    (args.out / "forum").mkdir(parents=True, exist_ok=True)
    (args.out / "texts").mkdir(exist_ok=True)
    (args.out / "pages.jsonl").write_bytes(json_lines("page", PAGES))
    (args.out / "forum" / "threads.jsonl.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(json_lines("thread", THREADS)))
    (args.out / "notes.jsonl.gz").write_bytes(gzip.compress(json_lines("note", NOTES), 9, mtime=0))
    for name, maker in TEXTS:
        (args.out / "texts" / f"{name}.txt").write_bytes(maker(w).finish()[0].encode() + b"\n")


if __name__ == "__main__":
    main()
