package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
)

// served calls an endpoint at a steady pace, every fifth call in vain, until
// ctx ends.
func served(ctx context.Context, mo monitor.Monitor, perSecond int) {
	begin, n := time.Now(), 0
	for tick := time.NewTicker(time.Second / time.Duration(perSecond)); ; {
		for ; n < int(time.Since(begin).Seconds()*float64(perSecond)); n++ {
			var err error
			if n%5 == 0 {
				err = errors.New("failed")
			}
			mo.Observe(monitor.Endpoint{Method: "GET /"}, time.Millisecond, err)
			mo.Observe(monitor.Endpoint{Client: true, Service: "other", Method: "GET /"}, time.Millisecond, nil) // not served
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

// startSteady serves the page of a process that does 40 calls a second, with
// the default options, and returns its address.
func startSteady(t *testing.T) string {
	t.Helper()
	mo, err := monitor.New(monitor.WithService("steady"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := page.New(mo)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { served(ctx, mo, 40); close(done) }()
	srv := httptest.NewServer(p)
	t.Cleanup(func() {
		cancel()
		<-done
		srv.Close()
		if err := errors.Join(p.Close(), mo.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return srv.URL + "/"
}

// points asks the page for the samples of a service.
func points(t *testing.T, p *page.Page, service string) []page.Point {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/api/series", nil)
	r.Host = "localhost"
	p.ServeHTTP(w, r)
	var all page.Series
	if err := json.NewDecoder(w.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all.Services[service]
}

// The page samples at other times than those at which instances report, whose
// reports come with jitter, and at once when the health changes.
func TestRatesAreThoseThatWereReported(t *testing.T) {
	for name, c := range map[string]struct {
		before, after time.Duration // the page is made in between
		restart       bool
		flap          bool
	}{
		"the page is there first":          {0, time.Minute, false, false},
		"the page comes later":             {5 * time.Minute, time.Minute, false, false},
		"an instance is restarted":         {time.Minute, time.Minute, true, false},
		"health changes every few seconds": {0, time.Minute, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := monitor.NewReports()
				open := func(id, service string) monitor.Monitor {
					mo, err := monitor.New(monitor.Memory(shared), monitor.WithInstance(monitor.Instance{ID: id, Service: service}))
					if err != nil {
						t.Fatal(err)
					}
					return mo
				}
				edge, one, two := open("edge-1", "edge"), open("orders-1", "orders"), open("orders-2", "orders")
				ctx, cancel := context.WithCancel(t.Context())
				second, crash := context.WithCancel(ctx)
				go served(ctx, one, 30)
				go served(second, two, 10)
				time.Sleep(c.before)
				p, err := page.New(edge)
				if err != nil {
					t.Fatal(err)
				}
				half := c.after / 2
				time.Sleep(half)
				if c.restart {
					crash()
					synctest.Wait()
					two.Close(t.Context())
					two = open("orders-2", "orders")
					go served(ctx, two, 10)
				}
				for n := range 100 {
					time.Sleep(half / 100)
					if c.flap && n%7 == 0 {
						one.SetPhase(monitor.Phase(n % 2)) // running, starting
					}
				}
				got := points(t, p, "orders")
				if len(got) < int(c.after.Seconds())/2-6 {
					t.Errorf("%d points in %v", len(got), c.after)
				}
				low := 38.0
				if c.restart {
					low = 28 // what restarts is not known until it has reported
				}
				for i, pt := range got {
					at := pt.Time.Sub(got[0].Time)
					settled := c.before == 0 || at > 10*time.Second // the instances don't report together
					if pt.Rate > 42 || settled && pt.Rate < low || pt.Errors > 9 || settled && pt.Errors < low/5-1 {
						t.Errorf("after %v: %.1f calls per second, %.1f failed, want 40 and 8 (point %d of %d)", at, pt.Rate, pt.Errors, i, len(got))
					}
				}
				if last := got[len(got)-1]; last.Rate < 38 {
					t.Errorf("at the end: %.1f calls per second, want 40", last.Rate)
				}
				cancel()
				crash()
				for _, err := range []error{p.Close(), edge.Close(t.Context()), one.Close(t.Context()), two.Close(t.Context())} {
					if err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}
