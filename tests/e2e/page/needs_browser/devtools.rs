//! Chromium, driven over two pipes by its DevTools protocol (`--remote-debugging-pipe`): messages in JSON, each ended by a
//! zero byte. Neither a port nor a crate is needed for it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser on a machine with other work needs its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running browser with one tab in which pages run no scripts. It ends with this.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    tab: String,
    count: u64,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let chromium = std::env::var("KOOGATE_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        // The browser reads commands from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg("exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null")
            .arg(&chromium)
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking"])
            .args(["--hide-scrollbars", "--force-device-scale-factor=1"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || read(answers, &sender));
        let mut browser = Self { child, commands, messages, tab: String::new(), count: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.tab = attached["sessionId"].as_str().unwrap().to_owned();
        browser.call("Page.enable", json!({}));
        browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
        browser
    }

    /// One command and its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let id = self.send(method, parameters);
        self.wait(&format!("an answer to {method}"), |message| message["id"] == id)["result"].clone()
    }

    fn send(&mut self, method: &str, parameters: Value) -> u64 {
        self.count += 1;
        let mut message = json!({ "id": self.count, "method": method, "params": parameters });
        if !self.tab.is_empty() {
            message["sessionId"] = self.tab.as_str().into();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        self.commands.flush().unwrap();
        self.count
    }

    fn wait(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(message["error"].is_null(), "{what}: {message}");
            if is_it(&message) {
                return message;
            }
        }
    }

    /// Does something that leads to another page, and waits until that is there.
    fn leading_on(&mut self, what: &str, act: impl FnOnce(&mut Self)) {
        // Messages of the page before are read by now: every command waits for its own answer.
        while self.messages.try_recv().is_ok() {}
        act(self);
        self.wait(what, |message| message["method"] == "Page.loadEventFired");
    }

    pub fn open(&mut self, url: &str) {
        self.leading_on(url, |browser| {
            browser.send("Page.navigate", json!({ "url": url }));
        });
    }

    /// What an expression is in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    pub fn text(&mut self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_else(|| panic!("{expression} is no text")).to_owned()
    }

    /// As if typed into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Tab; when it returns, the page has moved the focus.
    pub fn press_tab(&mut self) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", key(kind, "Tab", 9, ""));
        }
    }

    /// Enter, where that leads to another page.
    pub fn press_enter(&mut self) {
        // The answer to the first may come after the page it leads to.
        self.leading_on("the page after Enter", |browser| {
            browser.send("Input.dispatchKeyEvent", key("keyDown", "Enter", 13, "\r"));
        });
        self.call("Input.dispatchKeyEvent", key("keyUp", "Enter", 13, ""));
    }

    /// Waits until an expression is true in the page.
    pub fn wait_until(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while self.value(expression) != true {
            assert!(Instant::now() < until, "it never came true: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The size of the window, and the colours that the reader prefers.
    pub fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// A PNG of the whole page, or of the window.
    pub fn picture(&mut self, whole: bool) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": whole }));
        BASE64.decode(answer["data"].as_str().unwrap().as_bytes()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key(kind: &str, name: &str, code: u32, text: &str) -> Value {
    json!({ "type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text })
}

fn read(answers: ChildStdout, sender: &mpsc::Sender<Value>) {
    for message in BufReader::new(answers).split(0).map_while(Result::ok) {
        let message = serde_json::from_slice(&message).unwrap();
        if sender.send(message).is_err() {
            return;
        }
    }
}
