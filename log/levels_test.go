package log_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/log"
)

// ask sends a request to the LevelHandler of l.
func ask(l log.Log, method, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	l.LevelHandler().ServeHTTP(w, httptest.NewRequest(method, "/?"+query, nil))
	return w
}

// What the LevelHandler shows of a level, it takes.
func TestALevelThatIsShownCanBeSet(t *testing.T) {
	l, _ := open(t)
	for level := slog.Level(-8); level < 16; level++ {
		l.SetLevel("a", level, 0)
		_, name, _ := strings.Cut(ask(l, "GET", "").Body.String(), `"a":"`)
		name, _, _ = strings.Cut(name, `"`)
		for _, spelling := range []string{name, strings.ToLower(name), url.QueryEscape(level.String())} {
			if w := ask(l, "PUT", "name=b&level="+spelling); w.Code != 200 || l.Levels()["b"] != level {
				t.Errorf("level %d is shown as %s; %s sets %d: %d %s", level, name, spelling, l.Levels()["b"], w.Code, w.Body)
			}
			l.SetLevel("b", 100, 0)
		}
	}
	for _, no := range []string{"", "INFO1", "INFO5", "TRACE0", "FATAL+", "FATAL5", "warning"} {
		if w := ask(l, "PUT", "name=b&level="+url.QueryEscape(no)); w.Code != 400 || l.Levels()["b"] != 100 {
			t.Errorf("level %q: %d, %d", no, w.Code, l.Levels()["b"])
		}
	}
}

// What a rule can't be is refused, and the rule that was there stays.
func TestTheLimitsOfARule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := log.New(log.ToWriter(io.Discard, log.JSON()))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close(t.Context())
		for _, c := range []struct {
			method, query string
			code          int
			says          string
		}{
			{"PUT", "level=debug&name=" + strings.Repeat("x", 199), 200, ""},
			{"PUT", "level=debug&name=" + strings.Repeat("x", 200), 200, ""},
			{"PUT", "level=debug&name=" + strings.Repeat("x", 201), 400, "a name of more than 200 bytes"},
			{"POST", "level=debug&name=a&for=0s", 400, `malformed duration "0s"`},
			{"POST", "level=debug&name=a&for=x", 400, `malformed duration "x"`},
			{"POST", "level=debug&name=a&for=1ns", 200, ""},
			{"POST", "level=debug&name=a&for=", 200, ""},
			{"GET", "level=debug&name=b", 200, ""},
			{"HEAD", "level=debug&name=b", 200, ""},
			{"PATCH", "level=debug&name=b", 405, "method not allowed"},
		} {
			values, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			name := values.Get("name")
			w := ask(l, c.method, c.query)
			_, set := l.Levels()[name]
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) || set != (c.code == 200 && strings.HasPrefix(c.method, "P")) {
				t.Errorf("%s %s: %d %s; set: %v", c.method, c.query, w.Code, w.Body, set)
			}
			if allow := w.Header().Get("Allow"); (allow == "GET, HEAD, PUT, POST") != (c.code == 405) {
				t.Errorf("%s: Allow is %q", c.method, allow)
			}
			time.Sleep(time.Minute)
			if _, kept := l.Levels()[name]; kept != (set && !strings.Contains(c.query, "1ns")) {
				t.Errorf("%s %s: after a minute the rule is there: %v", c.method, c.query, kept)
			}
			if set { // nothing is left for the next case
				l.SetLevel(name, 0, 1)
				time.Sleep(time.Minute)
				l.SetLevel(name, 0, 1)
			}
		}
	})
}

// Strangers can make 1000 rules, that of the root among them, whether it was set
// or not. They can change each of these, and the program can make more.
func TestTheThousandthRule(t *testing.T) {
	for _, root := range []bool{false, true} {
		l, err := log.New(log.ToWriter(io.Discard, log.JSON()))
		if err != nil {
			t.Fatal(err)
		}
		if root {
			l.SetLevel("", slog.LevelWarn, 0)
		}
		for i := range 999 {
			if w := ask(l, "PUT", "level=debug&name="+strconv.Itoa(i)); w.Code != 200 {
				t.Fatalf("rule %d: %d %s", i, w.Code, w.Body)
			}
		}
		for query, code := range map[string]int{"level=debug&name=more": 409, "level=error&name=998": 200, "level=error": 200} {
			w := ask(l, "PUT", query)
			if w.Code != code || code == 409 && !strings.Contains(w.Body.String(), "too many rules") {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
		}
		if all := l.Levels(); len(all) != 1000 || all[""] != slog.LevelError || all["998"] != slog.LevelError {
			t.Errorf("%d rules; the root is at %v, 998 at %v", len(all), all[""], all["998"])
		}
		l.SetLevel("more", slog.LevelDebug, 0)
		if _, ok := l.Levels()["more"]; !ok {
			t.Error("the program can't make a rule of its own")
		}
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// After Close nothing of a log runs: rules stay as they are.
func TestRulesStayAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, log.WithLevel("a", slog.LevelWarn))
		l.SetLevel("a", slog.LevelDebug, time.Minute)
		l.SetLevel("b", slog.LevelDebug, time.Minute)
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.SetLevel("a", slog.LevelError, 0)
		l.SetLevel("c", slog.LevelError, time.Minute)
		time.Sleep(time.Hour)
		if all := l.Levels(); len(all) != 3 || all["a"] != slog.LevelDebug || all["b"] != slog.LevelDebug {
			t.Errorf("%v", all)
		}
	})
}

// A rule that is replaced takes its end with it: one for good stays, and one for
// a time brings back what was there for good.
func TestARuleThatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, log.WithLevel("a", slog.LevelWarn), log.WithLevel("b", slog.LevelWarn))
		pool := l.Logger("a.pool")
		l.SetLevel("a", slog.LevelDebug, time.Minute)
		l.SetLevel("a", slog.LevelError, 0)
		l.SetLevel("b", slog.LevelDebug, 2*time.Minute)
		l.SetLevel("b", slog.LevelInfo, time.Minute)
		l.SetLevel("c", slog.LevelDebug, time.Minute)
		l.SetLevel("c", slog.LevelInfo, time.Minute)
		if !l.Logger("b").Enabled(t.Context(), slog.LevelInfo) || l.Logger("b").Enabled(t.Context(), slog.LevelDebug) {
			t.Error("the second rule of b does not apply")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if all := l.Levels(); len(all) != 3 || all["a"] != slog.LevelError || all["b"] != slog.LevelWarn {
			t.Errorf("after a minute: %v", all)
		}
		l.SetLevel("a", slog.LevelDebug, time.Minute)
		if !pool.Enabled(t.Context(), slog.LevelDebug) {
			t.Error("a logger that was made before does not follow the rule")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if all := l.Levels(); len(all) != 3 || all["a"] != slog.LevelError || all["b"] != slog.LevelWarn || pool.Enabled(t.Context(), slog.LevelWarn) {
			t.Errorf("after two minutes: %v", all)
		}
	})
}

// No rule turns on what no output takes.
func TestRulesBelowWhatOutputsTake(t *testing.T) {
	warn, fatal := log.NewRecorder(0, nil), log.NewRecorder(0, nil)
	l, err := log.New(log.WithOutput(log.Memory(fatal), log.MinLevel(log.LevelFatal)), log.WithOutput(log.Memory(warn), log.MinLevel(slog.LevelWarn)), log.WithLevel("a", slog.LevelDebug), log.WithLevel("b", slog.LevelError))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	for name, least := range map[string]slog.Level{"a": slog.LevelWarn, "b": slog.LevelError, "": slog.LevelWarn} {
		lg := l.Logger(name)
		if lg.Enabled(t.Context(), least-1) || !lg.Enabled(t.Context(), least) {
			t.Errorf("%q: %v is enabled: %v, %v: %v", name, least-1, lg.Enabled(t.Context(), least-1), least, lg.Enabled(t.Context(), least))
		}
	}
}
