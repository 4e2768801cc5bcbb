package page_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
)

// Samples are kept for a week, the older the coarser, and what was bad stays
// visible.
func TestHistoryReachesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo, err := monitor.New(monitor.WithService("steady"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(mo)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go served(ctx, mo, 10)
		time.Sleep(30 * time.Minute)
		for range 100 { // once
			mo.Observe(monitor.Endpoint{Method: "GET /"}, 7*time.Second, nil)
		}
		time.Sleep(150 * time.Minute)
		for over, want := range map[string]struct {
			step        time.Duration
			points      int
			reach, slow time.Duration
		}{
			"5m":   {2 * time.Second, 150, 5 * time.Minute, 0},
			"1h":   {30 * time.Second, 120, time.Hour, 0},
			"6h":   {5 * time.Minute, 36, 3 * time.Hour, 7 * time.Second},
			"168h": {168 * time.Hour / 300, 5, 3 * time.Hour, 7 * time.Second},
			"744h": {744 * time.Hour / 300, 1, 0, 7 * time.Second},
		} {
			var s page.Series
			answered(t, p, "series?service=steady&over="+over, &s)
			points := s.Services["steady"]
			if n := len(points); s.Step != want.step || n < want.points-2 || n > want.points+2 {
				t.Fatalf("%s: %d points each %v, want about %d each %v", over, n, s.Step, want.points, want.step)
			}
			var slow time.Duration
			for i, pt := range points {
				if slow = max(slow, pt.P99, pt.P95); i > 0 && (pt.Rate < 9 || pt.Rate > 11 && slow < time.Second || pt.Errors < 1.5 && slow < time.Second || pt.Errors > 2.5) {
					t.Errorf("%s, point %d: %.1f calls per second, %.1f failed, want 10 and 2", over, i, pt.Rate, pt.Errors)
				}
			}
			if reach := time.Since(points[0].Time); want.reach > 0 && (reach > want.reach+5*time.Minute || reach < want.reach-15*time.Minute-s.Step) {
				t.Errorf("%s reaches back %v, want %v", over, reach, want.reach)
			}
			if (slow > 0 && slow < time.Second) && want.slow > 0 {
				t.Errorf("%s: the slowest is %v, want %v", over, slow, want.slow)
			}
		}
		var all page.Series
		answered(t, p, "series", &all)
		last := all.Services["steady"][len(all.Services["steady"])-1].Time
		time.Sleep(5 * time.Second)
		var fresh page.Series
		answered(t, p, "series?since="+last.Format(time.RFC3339Nano), &fresh)
		if n := len(fresh.Services["steady"]); n < 2 || n > 3 || !fresh.Services["steady"][0].Time.After(last) {
			t.Errorf("%d points in 5 s, want 2 or 3", n)
		}
		for query, want := range map[string]int{"over=5m": 200, "over=2s": 200, "over=1s": 400, "over=744h": 200, "over=745h": 400, "over=long": 400, "since=yesterday": 400} {
			if w := ask(p, http.MethodGet, "http://localhost/api/series?"+query, nil); w.Code != want {
				t.Errorf("%s: %d, want %d", query, w.Code, want)
			}
		}
		cancel()
		if err := errors.Join(p.Close(), mo.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
}

// However many services there are, their samples take no more than the bound.
func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := monitor.NewReports()
		mo, err := monitor.New(monitor.Memory(shared), monitor.WithService("watcher"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(mo, page.WithHistory(64<<10))
		if err != nil {
			t.Fatal(err)
		}
		history := func() page.History {
			var o page.Overview
			answered(t, p, "overview", &o)
			return o.History
		}
		time.Sleep(time.Hour)
		alone := history()
		if alone.Bytes > 64<<10 || alone.Bytes == 0 || alone.Limit != 64<<10 || alone.Kept < 24*time.Hour {
			t.Errorf("one service: %+v", alone)
		}
		for i := range 49 {
			if err := shared.Driver().Publish(t.Context(), monitor.Report{Status: monitor.Status{Instance: monitor.Instance{ID: fmt.Sprint(i), Service: fmt.Sprint("s", i)}}, Seq: 1, Interval: time.Hour, TTL: 24 * time.Hour,
				Stats: monitor.Stats{Process: monitor.Process{Uptime: time.Second}}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute)
		if many := history(); many.Bytes > 64<<10 || many.Kept >= 5*time.Minute || many.Kept == 0 {
			t.Errorf("50 services: %+v", many)
		}
		if err := errors.Join(p.Close(), mo.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	mo, err := monitor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer mo.Close(context.Background())
	for n, well := range map[int]bool{64 << 10: true, 64<<10 - 1: false, 0: false, -1: false} {
		p, err := page.New(mo, page.WithHistory(n))
		if (err == nil) != well || err != nil && !errors.Is(err, monitor.ErrInvalid) {
			t.Errorf("WithHistory(%d): %v", n, err)
		}
		if p != nil {
			p.Close()
		}
	}
}

// The page is one answer that a phone has in a moment, and names nothing
// outside of it.
func TestThePageIsSmallAndWhole(t *testing.T) {
	w := ask(bare(t), http.MethodGet, "http://localhost/", nil)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(w.Body.Bytes())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	html := w.Body.String()
	if n := packed.Len(); n < 10<<10 || n > 32<<10 {
		t.Errorf("%d bytes packed, want at most 32 KiB", n)
	}
	for _, never := range []string{"src=", "@import", "url(http", "<link rel=\"stylesheet\""} {
		if strings.Contains(html, never) {
			t.Errorf("the page has %q in it", never)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "http") || strings.Contains(policy, "script-src 'unsafe") {
		t.Errorf("the policy is %q", policy)
	}
}
