package servertest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// A Tab is a page in a Browser that a test looks at and works with as a person does, over the
// DevTools protocol. Whatever goes wrong fails the test.
type Tab struct {
	t      testing.TB
	socket *socket
	id     int
	errors []string
}

// patience is how long a Tab waits for what is to come.
const patience = 30 * time.Second

// OpenTab opens a page in a browser of a size in pixels.
func OpenTab(t testing.TB, browser *Server, page string, width, height int) *Tab {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://127.0.0.1:%d/json/new?about:blank", browser.Port("devtools")), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatalf("servertest: new tab: %v", err)
	}
	defer resp.Body.Close()
	var target struct{ WebSocketDebuggerURL string }
	if err := json.NewDecoder(resp.Body).Decode(&target); err != nil {
		t.Fatalf("servertest: new tab: %v", err)
	}
	u, err := url.Parse(target.WebSocketDebuggerURL)
	if err != nil {
		t.Fatal(err)
	}
	tab := &Tab{t: t}
	tab.socket, err = dialSocket(u)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	t.Cleanup(func() {
		tab.id++
		tab.socket.write(fmt.Appendf(nil, `{"id":%d,"method":"Page.close"}`, tab.id)) // the browser may be gone
		tab.socket.conn.Close()
	})
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		tab.call(domain+".enable", nil, nil)
	}
	tab.Size(width, height)
	tab.Go(page)
	return tab
}

// call executes a command of the protocol.
func (tab *Tab) call(method string, params, result any) {
	tab.t.Helper()
	tab.id++
	b, err := json.Marshal(map[string]any{"id": tab.id, "method": method, "params": params})
	if err == nil {
		err = tab.socket.write(b)
	}
	for err == nil {
		var b []byte
		b, err = tab.socket.read()
		if err != nil {
			break
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		err = json.Unmarshal(b, &m)
		if err != nil {
			break
		}
		tab.note(m.Method, m.Params)
		if m.ID != tab.id {
			continue
		}
		if m.Error != nil {
			err = fmt.Errorf("%s", m.Error.Message)
		} else if result != nil {
			err = json.Unmarshal(m.Result, result)
		}
		break
	}
	if err != nil {
		tab.t.Fatalf("servertest: %s: %v", method, err)
	}
}

// note keeps what a developer would see in red in the console.
func (tab *Tab) note(method string, params json.RawMessage) {
	var p struct {
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Entry struct{ Level, Text, URL string }
	}
	if json.Unmarshal(params, &p) != nil {
		return
	}
	switch {
	case method == "Runtime.exceptionThrown":
		tab.errors = append(tab.errors, p.ExceptionDetails.Text+" "+p.ExceptionDetails.Exception.Description)
	case method == "Log.entryAdded" && p.Entry.Level == "error":
		tab.errors = append(tab.errors, p.Entry.Text+" "+p.Entry.URL)
	}
}

// Errors returns, and forgets, what scripts threw and the browser refused.
func (tab *Tab) Errors() []string {
	tab.Eval("0")
	defer func() { tab.errors = nil }()
	return tab.errors
}

// Go opens another address, or another fragment of the same.
func (tab *Tab) Go(page string) {
	tab.t.Helper()
	tab.call("Page.navigate", map[string]any{"url": page}, nil)
}

// Size changes the window's size in pixels.
func (tab *Tab) Size(width, height int) {
	tab.t.Helper()
	tab.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

// Dark makes the system's theme dark, or light again.
func (tab *Tab) Dark(dark bool) {
	tab.t.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	tab.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Eval returns the value of a JavaScript expression, as fmt.Sprint writes it.
func (tab *Tab) Eval(expression string) string {
	tab.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	tab.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		tab.t.Fatalf("servertest: %s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(r.Result.Value)
}

// Text returns what a person reads in the element that a CSS selector finds; nothing if there is none.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	return tab.Eval("document.querySelector(" + quote(selector) + ")?.innerText ?? ''")
}

// Await waits until an expression is true.
func (tab *Tab) Await(expression string) {
	tab.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if tab.Eval("!!("+expression+")") == "true" {
			return
		}
		if time.Now().After(end) {
			tab.t.Fatalf("servertest: not true within %v: %s\nthe page says\n%s\n%s", patience, expression, tab.Text("body"), strings.Join(tab.errors, "\n"))
		}
	}
}

// AwaitText waits until the element that a selector finds shows a text.
func (tab *Tab) AwaitText(selector, text string) {
	tab.t.Helper()
	tab.Await("document.querySelector(" + quote(selector) + ")?.innerText.includes(" + quote(text) + ")")
}

// Click clicks the element that a selector finds with the mouse, where a person would: in its
// middle, scrolled into view. Something that covers the element gets the click.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.Await("document.querySelector(" + quote(selector) + ")")
	var at struct{ X, Y float64 }
	where := tab.Eval("(() => { const e = document.querySelector(" + quote(selector) + "); e.scrollIntoView({block: 'center', inline: 'center'}); const r = e.getBoundingClientRect(); return JSON.stringify({x: r.x + r.width / 2, y: r.y + r.height / 2}); })()")
	if err := json.Unmarshal([]byte(where), &at); err != nil {
		tab.t.Fatalf("servertest: where is %s: %v", selector, err)
	}
	for _, event := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		tab.call("Input.dispatchMouseEvent", map[string]any{"type": event, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// Key presses and releases a key: a character, or a name such as "Enter".
func (tab *Tab) Key(key string) {
	tab.t.Helper()
	down := map[string]any{"type": "keyDown", "key": key}
	switch {
	case len([]rune(key)) == 1:
		down["text"] = key
	case key == "Enter":
		down["text"], down["windowsVirtualKeyCode"] = "\r", 13
	case key == "Tab":
		down["windowsVirtualKeyCode"] = 9
	case key == "Escape":
		down["windowsVirtualKeyCode"] = 27
	}
	tab.call("Input.dispatchKeyEvent", down, nil)
	tab.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
}

// Type types a text into what has the focus.
func (tab *Tab) Type(text string) {
	tab.t.Helper()
	tab.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Shot writes a picture of the window, or of the whole page, to a PNG file.
func (tab *Tab) Shot(file string, whole bool) {
	tab.t.Helper()
	var r struct{ Data string }
	tab.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole}, &r)
	b, err := base64.StdEncoding.DecodeString(r.Data)
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		tab.t.Fatalf("servertest: picture: %v", err)
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
