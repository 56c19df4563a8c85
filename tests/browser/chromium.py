"""The browser: Debian's Chromium, started once for all tests, and a page that forgives nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright, expect


def find(which: Callable[[str], str | None] = shutil.which) -> str:
    """Return the program; raise RuntimeError with the line to type where there is none."""
    found = which("chromium")
    if found is None:
        raise RuntimeError(
            "chromium is missing: sudo apt-get update && sudo apt-get install -y chromium"
        )
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Start it; its own sandbox is left out for root alone, who has none."""
    flags = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    expect.set_options(timeout=15_000)  # a busy machine is no failure of the page
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=find(), args=flags)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def strict(
    browser: Browser, origin: str, *, forgive: str | None = None, **settings: object
) -> AsyncIterator[Page]:
    """Open an empty page; errors, refusals of the policy and requests elsewhere fail the test.

    What is said on the console is forgiven where it has the words of `forgive` in it.
    """
    wrong: list[str] = []
    context = await browser.new_context(**settings)  # type: ignore[arg-type]
    page = await context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
    page.on("request", lambda r: None if r.url.startswith(origin) else wrong.append(r.url))
    page.set_default_timeout(10_000)
    try:
        yield page
    finally:
        await context.close()
    assert [one for one in wrong if forgive is None or forgive not in one] == []
