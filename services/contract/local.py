"""What is usual in a country, for payments that do not tell it: the offset from UTC, and the currency.

Offsets are of the IANA time zone database 2026f (``zone.tab``): the one in force on most days of 2026, of the countries
all of whose zones keep the same all year. Where there are several, as in the United States, none is usual. In a country
with summer time the usual offset is an hour off for a part of the year.

Currencies are of the Unicode CLDR (``currencyData``, in Babel 2.19): the legal tender in June 2026, of the countries
that have one only.
"""

from __future__ import annotations

_OFFSETS = """
-660 AS NU
-600 CK
-480 PN
-360 BZ CR GT HN NI SV
-300 CO JM KY PA PE
-240 AG AI AW BB BL BO BQ BS CU CW DM DO GD GP GY HT KN LC MF MQ MS PR SX TC TT VC VE VG VI
-180 AR BM FK GF PY SR UY
-120 GS PM
-60 CV
0 BF CI GH GM GN GW IS LR ML MR SH SL SN ST TG
60 AO BJ CF CG CM DZ EH FO GA GB GG GQ IE IM JE MA NE NG TD TN
120 AD AL AT BA BE BI BW CH CZ DE DK FR GI HR HU IT LI LS LU LY MC ME
120 MK MT MW MZ NA NL NO PL RS RW SD SE SI SJ SK SM SS SZ VA ZA ZM ZW
180 AX BG BH BY CY DJ EE EG ER ET FI GR IL IQ JO KE KM KW LB LT LV MD MG PS QA RO SA SO SY TR TZ UG YE YT
210 IR
240 AE AM AZ GE MU OM RE SC
270 AF
300 KZ MV PK TF TJ TM UZ
330 IN LK
345 NP
360 BD BT IO KG
390 CC MM
420 CX KH LA TH VN
480 BN HK MO MY PH SG TW
540 JP KP KR PW TL
600 GU MP
660 NC SB VU
720 FJ MH NF NR TV WF
780 TK TO WS
"""
_CURRENCIES = """
AUD AU CC CX HM KI NF NR TV
CHF CH LI
DKK DK FO GL
EUR AD AT AX BE BG BL CY DE EE ES FI FR GF GP GR HR IE IT LT LU LV MC ME MF MQ MT NL PM PT RE SI SK SM TF VA XK YT
GBP GB GG GS IM JE
MAD EH MA
NOK BV NO SJ
NZD CK NU NZ PN TK
USD AS BQ EC FM GU IO MH MP PR PW SV TC TL UM US VG VI
XAF CF CG CM GA GQ TD
XCD AG AI DM GD KN LC MS VC
XCG CW SX
XOF BF BJ CI GW ML NE SN TG
XPF NC PF WF
"""
_ONE_EACH = """
AED-AE AFN-AF ALL-AL AMD-AM AOA-AO ARS-AR AWG-AW AZN-AZ BAM-BA BBD-BB BDT-BD BHD-BH BIF-BI BMD-BM BND-BN BOB-BO BRL-BR
BSD-BS BWP-BW BYN-BY BZD-BZ CAD-CA CDF-CD CLP-CL CNY-CN COP-CO CRC-CR CUP-CU CVE-CV CZK-CZ DJF-DJ DOP-DO DZD-DZ EGP-EG
ERN-ER ETB-ET FJD-FJ FKP-FK GEL-GE GHS-GH GIP-GI GMD-GM GNF-GN GTQ-GT GYD-GY HKD-HK HNL-HN HUF-HU IDR-ID ILS-IL INR-IN
IQD-IQ IRR-IR ISK-IS JMD-JM JOD-JO JPY-JP KES-KE KGS-KG KHR-KH KMF-KM KPW-KP KRW-KR KWD-KW KYD-KY KZT-KZ LAK-LA LBP-LB
LKR-LK LRD-LR LYD-LY MDL-MD MGA-MG MKD-MK MMK-MM MNT-MN MOP-MO MRU-MR MUR-MU MVR-MV MWK-MW MXN-MX MYR-MY MZN-MZ NGN-NG
NIO-NI NPR-NP OMR-OM PEN-PE PGK-PG PHP-PH PKR-PK PLN-PL PYG-PY QAR-QA RON-RO RSD-RS RUB-RU RWF-RW SAR-SA SBD-SB SCR-SC
SDG-SD SEK-SE SGD-SG SHP-SH SLE-SL SOS-SO SRD-SR SSP-SS STN-ST SYP-SY SZL-SZ THB-TH TJS-TJ TMT-TM TND-TN TOP-TO TRY-TR
TTD-TT TWD-TW TZS-TZ UAH-UA UGX-UG UYU-UY UZS-UZ VES-VE VND-VN VUV-VU WST-WS YER-YE ZAR-ZA ZMW-ZM
"""

OFFSET_MINUTES: dict[str, int] = {
    country: int(offset) for offset, *countries in map(str.split, _OFFSETS.split("\n")[1:-1]) for country in countries
}
"""By country: the payer's usual offset from UTC."""
CURRENCY: dict[str, str] = {
    country: currency for currency, *countries in map(str.split, _CURRENCIES.split("\n")[1:-1]) for country in countries
} | {country: currency for currency, country in (each.split("-") for each in _ONE_EACH.split())}
"""By country: its currency."""
