"""Programs that follow links without a person behind them, as far as they say so."""

import re
from collections.abc import Mapping

_CRAWLERS = re.compile(
    r"bot\b|bot[/_-]|crawl|spider|slurp|preview|facebookexternalhit|whatsapp|skypeuripreview|embedly"
    r"|googleimageproxy|yahoomailproxy|google-safety|apis-google|feedfetcher|lighthouse|headlesschrome|pingdom"
    r"|mediapartners|uptime|monitor|scanner|barracuda|proofpoint|mimecast|safelinks|bingpreview|vkshare|iframely",
    re.IGNORECASE,
)


def is_crawler(headers: Mapping[str, str]) -> bool:
    """Say whether a request comes from a known crawler, or fetches what somebody may never look at."""
    if _CRAWLERS.search(headers.get("User-Agent", "")):
        return True
    purpose = f"{headers.get('Sec-Purpose', '')} {headers.get('Purpose', '')} {headers.get('X-Moz', '')}"
    return "prefetch" in purpose.lower()
