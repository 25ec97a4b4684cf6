#!/usr/bin/env python3
"""The handler of examples/invoices.yaml: five lines of work, the rest is brigade_handler's."""
from brigade_handler import Permanent, handle

RATES = {"DE": 19, "FR": 20, "PT": 23}


def invoice(order, key):
    if order["country"] not in RATES:
        raise Permanent(f"no VAT rate for {order['country']}")
    print("invoicing", order["order"])  # goes to the log
    vat = order["cents"] * RATES[order["country"]] // 100
    return {"order": order["order"], "invoice": key, "cents": order["cents"] + vat, "vat": vat}


handle(invoice)
