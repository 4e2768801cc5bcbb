package servertest

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTab(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/data" {
			fmt.Fprint(w, 42)
			return
		}
		fmt.Fprint(w, `<!doctype html><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><p id="a"></p><input id="b"><button style="margin-top:2000px">ask</button>
			<script>
			document.querySelector("button").onclick = (e) => fetch("/data").then(r => r.text()).then(s => a.textContent = "got " + s + (e.isTrusted ? " by a person" : ""))
			b.onkeydown = (e) => { if (e.key === "Enter") throw Error("typed " + b.value) }
			</script>`)
	}))
	defer srv.Close()
	tab := OpenTab(t, Browser(t), srv.URL, 300, 200)
	tab.Click("button")
	tab.AwaitText("#a", "got 42 by a person")
	if errs := tab.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
	tab.Click("#b")
	tab.Type("words")
	tab.Key("Enter")
	if errs := tab.Errors(); len(errs) != 1 || !strings.Contains(errs[0], "typed words") {
		t.Errorf("the console says %q, want an error", errs)
	}
	tab.Dark(true)
	if got := tab.Eval("matchMedia('(prefers-color-scheme: dark)').matches && innerWidth"); got != "300" {
		t.Errorf("dark, 300 pixels wide: got %s", got)
	}
	if got := tab.Text("none"); got != "" {
		t.Errorf("an element that isn't there says %q", got)
	}
	file := filepath.Join(t.TempDir(), "page.png")
	tab.Shot(file, false)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(b)); err != nil || c.Width != 300 || c.Height != 200 {
		t.Errorf("got a picture of %d by %d, %v; want 300 by 200", c.Width, c.Height, err)
	}
}
