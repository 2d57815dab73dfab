"""A person signing in, in a real Chromium: open the page, give the key, agree, and be led back to the host."""

import os
import shutil
import sys

from playwright.sync_api import Page, sync_playwright

PAGE_MILLISECONDS = 20_000


def main(key: str, choice: str, url: str) -> int:
    """`choice`: "read" or "write". The address that the host is waiting at must answer while this runs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(PAGE_MILLISECONDS)
        page.goto(url)
        sign_in(page, key, choice)
        page.wait_for_url("**/callback?**")
        browser.close()
    return 0


def sign_in(page: Page, key: str, choice: str) -> None:
    page.get_by_label("Your Omi key").fill(key)
    page.locator(f"input[name=access][value={choice}]").check()
    page.get_by_role("button", name="Connect").click()


def chromium() -> str:
    """Debian's, or the one that is set."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if found is None:
        raise SystemExit("Chromium is not on this computer")
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
