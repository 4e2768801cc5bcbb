package log_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/micro/go-platform/log"
)

func TestAnotherSitesPageCanNotChangeLevels(t *testing.T) {
	l, err := log.New(log.ToWriter(io.Discard, log.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	for site, want := range map[string]int{"cross-site": 403, "same-origin": 200, "": 200} {
		r, w := httptest.NewRequest("POST", "/?name=db&level=debug", nil), httptest.NewRecorder()
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		l.LevelHandler().ServeHTTP(w, r)
		if w.Code != want || (want == 200) != (l.Levels()["db"] == slog.LevelDebug) {
			t.Errorf("from %q: %d, level %v; want %d", site, w.Code, l.Levels()["db"], want)
		}
		l.SetLevel("db", slog.LevelInfo, 0)
	}
}

// Forms are bounded in size, in parts too: those would go to a disk.
func TestFormsOfLevelsAreBounded(t *testing.T) {
	l, err := log.New(log.ToWriter(io.Discard, log.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	s := httptest.NewServer(l.LevelHandler())
	defer s.Close()
	const head, tail = "--b\r\nContent-Disposition: form-data; name=level\r\n\r\ndebug\r\n--b\r\nContent-Disposition: form-data; name=name\r\n\r\nparts\r\n--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n", "\r\n--b--\r\n"
	for _, c := range []struct {
		kind, body string
		want       int
	}{
		{"application/x-www-form-urlencoded", "name=form&level=debug&x=" + strings.Repeat("x", 8192-24), 200},
		{"application/x-www-form-urlencoded", "name=large&level=debug&x=" + strings.Repeat("x", 8193-25), 400},
		{"multipart/form-data; boundary=b", head + strings.Repeat("x", 8192-len(head)-len(tail)) + tail, 200},
		{"multipart/form-data; boundary=b", strings.Replace(head, "parts", "large", 1) + strings.Repeat("x", 8193-len(head)-len(tail)) + tail, 400},
		{"multipart/form-data; boundary=b", strings.Replace(head, "parts", "large", 1) + strings.Repeat("x", 50<<20) + tail, 400},
	} {
		resp, err := s.Client().Post(s.URL, c.kind, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s of %d bytes: %s, want %d", c.kind, len(c.body), resp.Status, c.want)
		}
	}
	levels := l.Levels()
	_, large := levels["large"]
	if levels["form"] != slog.LevelDebug || levels["parts"] != slog.LevelDebug || large {
		t.Errorf("levels %v", levels)
	}
}

func TestRulesSetOverHTTPAreBounded(t *testing.T) {
	l, err := log.New(log.ToWriter(io.Discard, log.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	put := func(name string) int {
		w := httptest.NewRecorder()
		l.LevelHandler().ServeHTTP(w, httptest.NewRequest("PUT", "/?level=debug&name="+name, nil))
		return w.Code
	}
	for i := range 2000 {
		put(strconv.Itoa(i))
	}
	if n := len(l.Levels()); n > 1000 {
		t.Errorf("%d rules", n)
	}
	if code := put("new"); code != http.StatusConflict {
		t.Errorf("one more: %d", code)
	}
	if code := put("1"); code != http.StatusOK {
		t.Errorf("one that is there: %d", code)
	}
}
