"""A browser without a window, driven through chromedriver: for `browser.py`. Uses the standard library alone."""

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage""".split()
KEYS = {"Tab": "\ue004", "Escape": "\ue00c", "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014"}
KEYS |= {"ArrowDown": "\ue015", "Home": "\ue011", "End": "\ue010", "Space": " "}


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Browser:
    """A session of WebDriver (W3C), with the two extensions that chromedriver has for logs and for DevTools."""

    def __init__(self, profile, pictures=None):
        self.pictures = pictures
        self.address = f"http://127.0.0.1:{port()}"
        command = ["chromedriver", f"--port={self.address.rsplit(':', 1)[1]}"]
        self.driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        options = {"args": [*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,1000"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        wanted["goog:loggingPrefs"] = {"browser": "ALL", "performance": "ALL"}
        for _ in range(600):
            try:
                self.session = ""
                made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except urllib.error.HTTPError as error:
                raise SystemExit(error.read().decode()) from None
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit("chromedriver does not answer")
        self.session = f"/session/{made['sessionId']}"

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + self.session + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        # No proxy: the driver is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def tools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def press(self, *names):
        actions = [{"type": kind, "value": KEYS[name]} for name in names for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def point(self, element):
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": element}
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [move]}
        self.ask("POST", "/actions", {"actions": [pointer]})

    def logs(self, kind):
        return self.ask("POST", "/se/log", {"type": kind})

    def picture(self, name, whole=False):
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            picture = self.tools("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
            if whole:
                height = self.tools("Page.getLayoutMetrics")["cssContentSize"]["height"]
                clip = {"x": 0, "y": 0, "width": self.run("return innerWidth"), "height": min(height, 16_000), "scale": 1}
                picture = self.tools("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
            (self.pictures / f"{name}.png").write_bytes(base64.b64decode(picture))

    def size(self, width, height):
        self.tools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def end(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(30)
