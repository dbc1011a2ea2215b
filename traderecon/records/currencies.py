"""Currency codes: which spellings name the same currency.

Case does not matter in an ISO 4217 code, which has ASCII letters only. It does in a minor unit: GBp is a hundredth of
GBP, and ignoring case would compare pence with pounds.
"""

from functools import lru_cache
from typing import NamedTuple

_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP
BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR
FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES
KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF
SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS
UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF
XPD XPF XPT XSU XUA YER ZAR ZMW ZWG
"""

ISO_4217 = frozenset(_CODES.split())
"""Active codes, with those of funds and metals."""


class MinorUnit(NamedTuple):
    """A part of a currency: 10 to the power of ``digits`` of it are one unit of ``currency``."""

    currency: str
    digits: int


MINOR_UNITS = {
    "GBp": MinorUnit("GBP", 2),
    "GBX": MinorUnit("GBP", 2),
    "ZAc": MinorUnit("ZAR", 2),
    "ZAr": MinorUnit("ZAR", 2),
    "ILA": MinorUnit("ILS", 2),
    "ILs": MinorUnit("ILS", 2),
    "KWd": MinorUnit("KWD", 3),
}
"""How market data spells pence, cents, agorot and fils."""


@lru_cache(maxsize=4_096)
def currency_code(sent: str) -> str:
    """The standard spelling of a currency; text that is not an ISO 4217 code is returned unchanged.

    >>> currency_code("usd"), currency_code("GBp"), currency_code("gbp"), currency_code("Usdt")
    ('USD', 'GBp', 'GBP', 'Usdt')
    """
    code = sent.upper() if sent.isascii() else sent
    return code if code in ISO_4217 and sent not in MINOR_UNITS else sent
