"""The program that scripts/demo traces: takes orders, each with a search, a price, a discount and a receipt.

Runs until it is ended, and writes a recording of every two seconds into a directory. Two things go wrong. For
some seconds discounts are looked up in a list instead of a table, which is slow. And receipts are kept for
ever, which leaks memory.

    demo_program.py DIRECTORY SLOW_AFTER SLOW_SECONDS
"""
import hashlib
import json
import os
import pathlib
import random
import sys
import time

from viztracer import VizTracer

RECORDING_SECONDS = 2
CUSTOMERS = 20_000
DISCOUNTS = {f"customer-{number}": number % 7 for number in range(CUSTOMERS)}
DISCOUNT_LIST = list(DISCOUNTS.items())
CATALOGUE = [{"name": f"article {number}", "cents": 100 + number * 7 % 9_000} for number in range(300)]
SLOW_LOOKUP_SECONDS = 0.4
RECEIPT_BYTES = 150_000
kept_receipts = []


class Shop:
    def __init__(self, directory):
        self.journal = directory / "orders.jsonl"
        self.is_slow = False

    def take_order(self):
        customer = f"customer-{random.randrange(CUSTOMERS)}"
        articles = self.search(random.choice("123456789"))
        cents = self.price(articles, self.discount(customer))
        self.write_receipt(customer, cents)

    def search(self, word):
        return sorted((article for article in CATALOGUE if word in article["name"]), key=self.cents)[:5]

    def cents(self, article):
        return article["cents"]

    def discount(self, customer):
        return self.discount_from_list(customer) if self.is_slow else DISCOUNTS[customer]

    def discount_from_list(self, customer):
        found = 0
        end = time.monotonic() + SLOW_LOOKUP_SECONDS
        while time.monotonic() < end:
            for name, discount in DISCOUNT_LIST:
                if name == customer:
                    found = discount
        return found

    def price(self, articles, discount):
        return sum(self.cents(article) for article in articles) * (100 - discount) // 100

    def write_receipt(self, customer, cents):
        text = json.dumps({"customer": customer, "cents": cents, "at": time.time()})
        seal = hashlib.sha256(text.encode()).hexdigest()
        with open(self.journal, "w", encoding="utf-8") as journal:
            journal.write(f"{text} {seal}\n")
        kept_receipts.append(os.urandom(64) * (RECEIPT_BYTES // 64))


def record(tracer, shop, seconds):
    """Takes orders for some seconds, with a recording of every call."""
    end = time.monotonic() + seconds
    tracer.start()
    while time.monotonic() < end:
        shop.take_order()
        time.sleep(0.1)
    tracer.stop()


def main(directory, slow_after, slow_seconds):
    directory = pathlib.Path(directory)
    tracer = VizTracer(verbose=0, ignore_c_function=True, ignore_frozen=True)
    shop = Shop(directory)
    begin = time.monotonic()
    number = 0
    while True:
        passed = time.monotonic() - begin
        shop.is_slow = slow_after <= passed < slow_after + slow_seconds
        record(tracer, shop, RECORDING_SECONDS)
        # A reader sees only whole recordings.
        hidden = directory / f"recording-{number:05}.hidden.json"
        tracer.save(str(hidden))
        tracer.clear()
        hidden.rename(directory / f"recording-{number:05}.json")
        number += 1


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
