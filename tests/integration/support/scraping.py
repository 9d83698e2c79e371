"""A process that requests /metrics at a fixed interval: `python3 -I scraping.py PORT PERIOD_MS [gzip]`. When its input ends, it prints the
number of whole answers and the size of the last body as received, `scraped N BYTES`."""

import http.client
import select
import sys
import time


def scrape(port, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        return len(body) if answer.status == 200 else 0
    finally:
        connection.close()


def main():
    port, period = int(sys.argv[1]), int(sys.argv[2]) / 1000
    headers = {"Accept-Encoding": "gzip"} if "gzip" in sys.argv else {}
    scraped, size, due = 0, 0, time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due = max(due + period, time.monotonic())
        size = scrape(port, headers)
        scraped += size > 0
    print("scraped", scraped, size, flush=True)


if __name__ == "__main__":
    main()
