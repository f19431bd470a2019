"""A real browser, to look at pages with."""

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
