package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/router"
	dsync "github.com/micro/go-platform/sync"
)

// answered asks a page that no socket stands before, which a fake clock can't wait for.
func answered(t *testing.T, p *page.Page, path string, into any) {
	t.Helper()
	w := ask(p, http.MethodGet, "http://localhost/api/"+path, nil)
	if err := json.NewDecoder(w.Body).Decode(into); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d, %v", path, w.Code, err)
	}
}

// told returns what the timeline says, oldest first, as "kind service/instance state: text".
func told(t *testing.T, p *page.Page, query string) []string {
	t.Helper()
	var got struct{ Moments []page.Moment }
	answered(t, p, "timeline?"+query, &got)
	var out []string
	for _, m := range slices.Backward(got.Moments) {
		line := fmt.Sprintf("%s %s/%s %s: %s", m.Kind, m.Service, m.Instance+m.Subject, m.State, m.Text)
		if m.Times > 0 {
			line += fmt.Sprintf(" ×%d", m.Times)
		}
		out = append(out, line)
	}
	return out
}

// orders are monitors of instances that share what they publish.
type orders struct {
	t      *testing.T
	shared *monitor.Reports
}

func (o orders) open(id, version string, mute *atomic.Bool) monitor.Monitor {
	o.t.Helper()
	driver := func(context.Context) (monitor.Driver, error) { return mutable{o.shared.Driver(), mute}, nil }
	mo, err := monitor.New(monitor.WithDriver("memory", driver), monitor.WithInstance(monitor.Instance{ID: id, Service: "orders", Version: version}), monitor.WithInterval(time.Second))
	if err != nil {
		o.t.Fatal(err)
	}
	return mo
}

type mutable struct {
	monitor.Driver
	mute *atomic.Bool
}

func (m mutable) Publish(ctx context.Context, r monitor.Report) error {
	if m.mute != nil && m.mute.Load() {
		return nil
	}
	return m.Driver.Publish(ctx, r)
}

func TestTheTimelineTellsOfInstancesAndDeploys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := orders{t, monitor.NewReports()}
		one := o.open("orders-1", "1", nil)
		time.Sleep(10 * time.Second)
		observer, err := monitor.New(monitor.Memory(o.shared), monitor.WithInstance(monitor.Instance{ID: "edge-1", Service: "edge"}))
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(observer)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if got := told(t, p, "service=orders"); len(got) != 0 { // it was there before
			t.Errorf("before anything happened: %q", got)
		}
		var mute atomic.Bool
		two := o.open("orders-2", "2", &mute)
		time.Sleep(5 * time.Second)
		if err := one.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		mute.Store(true)
		time.Sleep(10 * time.Second)
		mute.Store(false)
		time.Sleep(5 * time.Second)
		two.Close(t.Context())
		two = o.open("orders-2", "2", nil)
		time.Sleep(5 * time.Second)
		want := []string{
			"instance orders/orders-2 pass: came, version 2", "deploy orders/ accent: version 2 appeared, with orders-2",
			"instance orders/orders-1 unknown: stopped", "deploy orders/ accent: all instances are version 2 now; 1 is gone",
			"instance orders/orders-2 fail: lost: no report for ", "instance orders/orders-2 pass: heard again",
			"instance orders/orders-2 warn: began again, version 2",
		}
		got := told(t, p, "kind=instance,deploy&service=orders")
		fits := len(got) == len(want)
		for i, g := range got {
			fits = fits && i < len(want) && strings.HasPrefix(g, want[i])
		}
		if !fits {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for query, n := range map[string]int{"service=nobody": 0, "kind=leader": 0, "kind=deploy": 2, "kind=deploy&service=edge": 0, "limit=1": 1} {
			if got := told(t, p, query); len(got) != n {
				t.Errorf("%s: %q, want %d", query, got, n)
			}
		}
		if err := errors.Join(p.Close(), two.Close(t.Context()), observer.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// A verdict is told when it changes, unknown too, and not at each sample.
func TestTheTimelineTellsAVerdictOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := orders{t, monitor.NewReports()}
		var blind atomic.Bool
		observer, err := monitor.New(monitor.Memory(o.shared), monitor.WithInstance(monitor.Instance{ID: "edge-1", Service: "edge"}),
			monitor.WithExpected(func(string) ([]string, bool) { return []string{"orders-1"}, !blind.Load() }))
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(observer)
		if err != nil {
			t.Fatal(err)
		}
		one := o.open("orders-1", "", nil)
		for _, b := range []bool{false, true, false} {
			blind.Store(b)
			time.Sleep(10 * time.Second)
		}
		want := []string{"health orders/ unknown: pass → unknown: no list of the instances that there should be", "health orders/ pass: unknown → pass"}
		if got := told(t, p, "kind=health&service=orders"); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if err := errors.Join(p.Close(), one.Close(t.Context()), observer.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// What flaps is one line with a count, and pushes nothing else out.
func TestTheTimelineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := orders{t, monitor.NewReports()}
		observer, err := monitor.New(monitor.Memory(o.shared), monitor.WithInstance(monitor.Instance{ID: "edge-1", Service: "edge"}))
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(observer)
		if err != nil {
			t.Fatal(err)
		}
		var mute atomic.Bool
		flaps := o.open("flaps", "", &mute)
		for range 50 {
			time.Sleep(5 * time.Second)
			mute.Store(!mute.Load())
		}
		got := told(t, p, "kind=instance&service=orders")
		if n := len(got); n < 3 || n > 8 || !strings.Contains(strings.Join(got, "\n"), "heard again ×2") {
			t.Errorf("a flapping instance: %q", got)
		}
		long := strings.Repeat("ö", 200)
		for i := range 1100 {
			name := fmt.Sprint(i, long)
			if err := o.shared.Driver().Publish(t.Context(), monitor.Report{Status: monitor.Status{Instance: monitor.Instance{ID: name, Service: "orders", Version: long}}, Seq: 1, TTL: time.Minute}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		var all struct{ Moments []page.Moment }
		answered(t, p, "timeline?limit=1000", &all)
		if len(all.Moments) != 1000 {
			t.Errorf("%d moments, want 1000", len(all.Moments))
		}
		for _, m := range all.Moments {
			if len(m.Instance) > 200 || len(m.Text) > 300 || strings.ContainsRune(m.Text, '\uFFFD') {
				t.Fatalf("%d bytes of a name, %d of a text: %q", len(m.Instance), len(m.Text), m.Text)
			}
		}
		if err := errors.Join(p.Close(), flaps.Close(t.Context()), observer.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestTheTimelineTellsOfEjectionsConfigurationAndLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo, err1 := monitor.New(monitor.WithInstance(monitor.Instance{Service: "edge", ID: "e1"}))
		d, err2 := discovery.New()
		ro, err3 := router.New(router.WithDiscovery(d))
		defaults := config.Memory("defaults", map[string]any{"rate": 1, "password": "s3cret"})
		cfg, err4 := config.New(config.WithSource(defaults))
		locks, err5 := dsync.New()
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"good", "fine", "well", "bad"} {
			if _, err := d.Register(t.Context(), discovery.Instance{ID: id, Service: "billing", Address: id + ":80"}); err != nil {
				t.Fatal(err)
			}
		}
		st := documents(t)
		defer st.Close()
		p, err := page.New(mo, page.WithRouter(ro), page.WithConfig(cfg), page.WithSync(locks), page.WithDocuments(st))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if got := told(t, p, "kind=ejection,leader"); len(got) != 0 {
			t.Errorf("before anything happened: %q", got)
		}
		if got := told(t, p, "kind=config"); len(got) != 3 || got[2] != `config /shop unknown: version 3: set limits.rate by ann: "by mistake"` {
			t.Errorf("documents: %q", got)
		}
		pick, err := ro.Pick(t.Context(), "billing")
		if err != nil {
			t.Fatal(err)
		}
		pick.Done(router.Outcome{Latency: time.Millisecond})
		for i := range 40 {
			ro.Record(router.Sample{Service: "billing", Instance: []string{"good", "fine", "well"}[i%3], Outcome: router.Outcome{Latency: time.Millisecond}})
			ro.Record(router.Sample{Service: "billing", Instance: "bad", Outcome: router.Outcome{Class: router.ServerError, Latency: time.Millisecond}})
		}
		if err := errors.Join(defaults.Set(map[string]any{"rate": 2, "password": "0ther"}), cfg.Reload(t.Context())); err != nil {
			t.Fatal(err)
		}
		mine, err1 := locks.Leader("scheduler", dsync.Owner("me"))
		other, err2 := locks.Leader("scheduler", dsync.Owner("other"))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		term, err := mine.Elect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		elected := make(chan error, 1)
		go func() {
			_, err := other.Elect(t.Context())
			elected <- err
		}()
		time.Sleep(7 * time.Second)
		if err := errors.Join(term.Resign(t.Context()), <-elected); err != nil {
			t.Fatal(err)
		}
		if _, err := locks.Lock(t.Context(), "reports"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second)
		got := strings.Join(told(t, p, ""), "\n")
		for _, want := range []string{
			"ejection billing/bad fail: taken out of rotation by edge/e1: ", "config / unknown: running configuration: ", "rate 1 → 2",
			"leader /scheduler accent: me leads, with token 1: this process", "leader /scheduler accent: other leads, with token 2: this process",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		for _, never := range []string{"s3cret", "0ther", "billing/good", "reports"} {
			if strings.Contains(got, never) {
				t.Errorf("%q in\n%s", never, got)
			}
		}
		time.Sleep(2 * time.Minute) // a longer time than an ejection
		if got := strings.Join(told(t, p, "kind=ejection"), "\n"); !strings.Contains(got, "billing/bad pass: back in rotation at edge/e1") {
			t.Errorf("later: %s", got)
		}
		if err := errors.Join(p.Close(), mine.Close(), other.Close(), locks.Close(), cfg.Close(), ro.Close(t.Context()), d.Close(), mo.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// silentStore is a store whose backend does not answer.
type silentStore struct{ store.Store }

func (silentStore) Namespaces(ctx context.Context) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTheTimelineDoesNotWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo, err := monitor.New(monitor.WithService("edge"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(mo, page.WithDocuments(silentStore{}))
		if err != nil {
			t.Fatal(err)
		}
		for query, asks := range map[string]bool{"": true, "kind=config": true, "kind=deploy,config": true, "kind=deploy": false, "service=edge": false} {
			began := time.Now()
			var got struct{ Problem string }
			answered(t, p, "timeline?"+query, &got)
			if took := time.Since(began); took > 4*time.Second || (took > 0) != asks || (got.Problem != "") != asks {
				t.Errorf("%q: %v, problem %q, want the store asked: %t", query, took, got.Problem, asks)
			}
			time.Sleep(5 * time.Second) // the next answer is not this one
		}
		if err := errors.Join(p.Close(), mo.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatTheTimelineIsAskedIsChecked(t *testing.T) {
	p := bare(t)
	for query, want := range map[string]int{"": 200, "kind=": 200, "kind=deploy,health": 200, "kind=deploys": 400, "kind=deploy,": 400, "limit=0": 400, "limit=1000": 200, "limit=1001": 400} {
		if w := ask(p, http.MethodGet, "http://localhost/api/timeline?"+query, nil); w.Code != want {
			t.Errorf("%s: %d, want %d", query, w.Code, want)
		}
	}
}
