"""A real browser, to look at pages with and to click through them."""

import contextlib
import os
import shutil
import subprocess

import matplotlib.image
import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium on the PATH (Debian: apt-get install chromium)"
)

# This machine also has a name, under which its pages are as those of another one; there is no other.
OTHER_NAME = "other.test"
RESOLVER = f"MAP {OTHER_NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
CHROMEDRIVER = shutil.which("chromedriver")
needs_driver = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None,
    reason="needs Chromium and its driver on the PATH (Debian: apt-get install chromium chromium-driver)",
)


@contextlib.contextmanager
def browser(downloads, width=1280, height=900, dark=False):
    """Give a browser without a network but for this machine, with a microphone that beeps; what it loads is logged.

    Arguments
    ---------
    downloads : Path
        Folder for files that are downloaded.
    width, height : int
        Of the window; one narrower than 600 is that of a phone.
    dark : bool
        Whether pages are asked to be dark.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        *("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "no-first-run", "mute-audio"),
        *("disable-background-networking", f"host-resolver-rules={RESOLVER}"),
        *("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream", f"window-size={width},{height}"),
    ):
        options.add_argument(f"--{argument}")
    options.add_experimental_option("prefs", {"download.default_directory": os.fspath(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(service=Service(CHROMEDRIVER), options=options)
    try:
        if dark:
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        if width < 600:
            phone = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        yield driver
    finally:
        driver.quit()


def screenshot(page, folder, width, height):
    """Return a page as the browser draws it, without a network: (height, width, 3), from 0 to 1."""
    shot = folder / "shot.png"
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
        *("--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--force-color-profile=srgb"),
        *(f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", f"--screenshot={shot}"),
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert shot.is_file(), done.stderr[-2000:]
    picture = matplotlib.image.imread(shot)[..., :3]
    assert picture.shape[:2] == (height, width)
    return picture


@pytest.fixture
def browse(tmp_path):
    """Open a page in Chromium and return selenium's driver; ``dark`` and the size are as on a device."""
    driver_path = shutil.which("chromedriver")
    if CHROMIUM is None or driver_path is None:
        pytest.skip("needs Chromium and its driver on the PATH (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the extra test")
    opened = []

    def open_page(address, width=1200, height=850, dark=False):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (
            *("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run"),
            *("disable-background-networking", "autoplay-policy=no-user-gesture-required", "mute-audio"),
            *(
                "hide-scrollbars",
                f"window-size={width},{height}",
                f"user-data-dir={tmp_path / f'profile{len(opened)}'}",
            ),
        ):
            options.add_argument(f"--{flag}")
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
        opened.append(driver)
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(address)
        return driver

    yield open_page
    for driver in opened:
        driver.quit()
