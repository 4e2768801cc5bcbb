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

func TestBrowserRunsScripts(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/data" {
			fmt.Fprint(w, 42)
			return
		}
		fmt.Fprint(w, `<p id="a"></p><script>fetch("/data").then(r => r.text()).then(s => a.textContent = "got " + s)</script>`)
	}))
	defer srv.Close()
	if got := DOM(t, srv.URL); !strings.Contains(got, `<p id="a">got 42</p>`) {
		t.Errorf("got %s, want a paragraph that says got 42", got)
	}
	file := filepath.Join(t.TempDir(), "page.png")
	Screenshot(t, srv.URL, file, 300, 200)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(b)); err != nil || c.Width != 300 || c.Height != 200 {
		t.Errorf("got a picture of %d by %d, %v; want 300 by 200", c.Width, c.Height, err)
	}
}

func TestBrowserSpeaksDevTools(t *testing.T) {
	s := Browser(t)
	if got, err := s.get("devtools", "/json/list"); err != nil || !strings.Contains(got, "about:blank") {
		t.Errorf("got %s, %v; want a page about:blank", got, err)
	}
}
