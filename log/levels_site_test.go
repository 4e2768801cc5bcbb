package log_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/micro/go-platform/log"
)

func TestAnotherSitesPageCanNotChangeLevels(t *testing.T) {
	l, err := log.Open(log.ToWriter(io.Discard, log.JSON()))
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

func TestRulesSetOverHTTPAreBounded(t *testing.T) {
	l, err := log.Open(log.ToWriter(io.Discard, log.JSON()))
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
