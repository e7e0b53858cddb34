"""Chromium without a screen, driven by selenium, for what the console's pages show and do."""
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-component-update", "--disable-background-networking", "--force-device-scale-factor=1",
)


class Browser:
    """`address`: the console's HOST:PORT."""

    def __init__(self, address, width=1280, height=800, scheme="light"):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for option in OPTIONS:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.address = address
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(60)
        self.look(width, height, scheme)

    def look(self, width=1280, height=800, scheme="light"):
        """Sets the size of the page and the scheme of its colours."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )

    def open(self, path):
        """Opens a page of the console; what was logged before is forgotten."""
        self.driver.get_log("browser")
        self.driver.get(f"http://{self.address}{path}")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def ask(self, script, *arguments):
        """Runs a script that awaits something, and returns what it returns."""
        answer = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"(async () => {{ {script} }})().then((value) => done([value]), (error) => done(String(error)));",
            *arguments,
        )
        assert isinstance(answer, list), answer
        return answer[0]

    def wait(self, script, what, seconds=30):
        """Waits until a script returns something that is true, and returns it."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s; the page has: {self.text()[:2000]}"
            time.sleep(0.05)
        return found

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector)

    def errors(self):
        """What the page logged since it was opened, warnings too."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def press(self, selector, *keys, shift=False):
        """Sends keys to an element, as a keyboard does."""
        self.run("document.querySelector(arguments[0]).focus()", selector)
        for key in keys:
            for kind in ("keyDown", "keyUp"):
                self.driver.execute_cdp_cmd(
                    "Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, "modifiers": 8 if shift else 0,
                                               **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {})}
                )

    def drag(self, selector, begin, end):
        """Drags across an element, from one part of its width to another."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", selector)
        left, top, width, height = self.run(
            "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [box.left, box.top, box.width, box.height]", selector,
        )
        for kind, part in (("mouseMoved", begin), ("mousePressed", begin), ("mouseMoved", end), ("mouseReleased", end)):
            self.driver.execute_cdp_cmd(
                "Input.dispatchMouseEvent",
                {"type": kind, "x": left + width * part, "y": top + height / 2, "button": "left", "buttons": 1, "clickCount": 1},
            )

    def complete(self, seconds=30):
        """Waits until a page that loads once has shown everything."""
        self.wait("return document.body.dataset.state === 'complete'", "the whole page", seconds)

    def screenshot(self, path):
        self.driver.save_screenshot(str(path))

    def close(self):
        self.driver.quit()
