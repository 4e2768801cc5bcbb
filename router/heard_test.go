package router_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// spoken is an exchange by which a test says what others say, and sees what is
// published.
type spoken struct {
	views     chan func(router.View)
	reports   chan func(router.Report)
	mu        sync.Mutex
	published []router.Report
	err       error
}

// fails makes what is published from now on fail, or not.
func (x *spoken) fails(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = err
}

// sent is how many reports were published.
func (x *spoken) sent() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.published)
}

func newSpoken() *spoken {
	return &spoken{views: make(chan func(router.View), 1), reports: make(chan func(router.Report), 1)}
}

func (x *spoken) Publish(_ context.Context, r router.Report) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.published = append(x.published, r)
	return x.err
}
func (x *spoken) PublishView(context.Context, router.View) error { return nil }
func (x *spoken) Reports(ctx context.Context, _ string, f func(router.Report)) error {
	x.reports <- f
	<-ctx.Done()
	return ctx.Err()
}
func (x *spoken) Views(ctx context.Context, _ string, f func(router.View)) error {
	x.views <- f
	<-ctx.Done()
	return ctx.Err()
}

// sharing is a still router that hears what say tells it.
func sharing(t *testing.T, n int, opts ...router.Option) (w *world, c *clock, say func(seq uint64, by string, nodes map[string]router.NodeView)) {
	x := newSpoken()
	w, c = still(t, fleet(n), append(opts, router.WithSharing(x, router.Sharing{Interval: 5 * time.Second, TTL: 10 * time.Second, FromViews: true}))...)
	hear := <-x.views
	return w, c, func(seq uint64, by string, nodes map[string]router.NodeView) {
		hear(router.View{Service: "greeter", By: by, Seq: seq, Nodes: nodes})
	}
}

func (w *world) ticks(t testing.TB, c *clock, n int, id string) {
	for range n {
		w.tick(t, c, id)
	}
}

// A view scales the weight by steps of 30 %, wholly for the TTL, and less and less
// for the next one. What a client knows itself is scaled by a sixth of it.
func TestHowMuchAViewCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		calls  string // of the client's own
		weight float64
		after  int // seconds
		want   float64
	}{
		{"a step", "", .25, 1, 1 / 1.3}, {"two", "", .25, 2, 1 / 1.69}, {"all", "", .25, 6, .25}, {"to the end of the TTL", "", .25, 10, .25},
		{"half of it", "", .25, 15, .5}, {"none", "", .25, 20, 1}, {"long after", "", .25, 60, 1},
		{"praise", "", 2, 5, 1}, {"lies", "", .01, 9, .25}, {"nothing", "", 0, 9, 1}, {"less than nothing", "", -1, 9, 1}, {"none at all", "", math.NaN(), 9, 1}, {"of its own it knows little", "20*10", .25, 6, .25}, {"it knows it well", "21*10", .25, 6, math.Pow(.25, 1./6)},
	} {
		w, clock, say := sharing(t, 3)
		w.called(t, "n0000", c.calls)
		say(1, "a", map[string]router.NodeView{"n0000": {Weight: c.weight, Slower: 1}})
		w.ticks(t, clock, c.after, "n0001")
		s := w.stat(t, "n0000")
		if !near(s.View, c.want, 1e-9) {
			t.Errorf("%s: after %d s the view makes %v of the weight, want %v", c.name, c.after, s.View, c.want)
		}
		if s.Weight != s.View {
			t.Errorf("%s: the weight is %v, want the view's %v", c.name, s.Weight, s.View)
		}
		if s := w.stat(t, "n0002"); s.View != 1 {
			t.Errorf("%s: one of which nothing was said has %v of its weight", c.name, s.View)
		}
	}
}

// How slow others find an instance decides what a stranger costs.
func TestStrangersCostWhatOthersSay(t *testing.T) {
	for _, c := range []struct {
		slower float64
		after  int
		want   float64
	}{{1, 1, 10}, {2, 1, 20}, {2, 10, 20}, {2, 15, 10 * math.Sqrt2}, {2, 20, 10}, {9, 1, 40}, {.5, 1, 5}, {.01, 1, 2.5}, {-1, 1, 10}, {math.NaN(), 1, 10}, {math.Inf(1), 1, 10}} {
		w, clock, say := sharing(t, 3)
		w.called(t, "n0001", "10 10")
		say(1, "a", map[string]router.NodeView{"n0000": {Weight: 1, Slower: c.slower}})
		w.ticks(t, clock, c.after, "n0001")
		if got := w.score(t, "n0000"); !near(got, c.want, 1e-6) {
			t.Errorf("%v times as slow, %d s later: a stranger costs %v ms, want %v", c.slower, c.after, got, c.want)
		}
	}
}

// Of views the newest counts, and one of another origin; what is too large does not.
func TestWhichViewCounts(t *testing.T) {
	type view struct {
		seq    uint64
		by     string
		weight float64
		nodes  int // beside the one
	}
	for _, c := range []struct {
		name  string
		views []view
		want  float64
	}{
		{"a newer one", []view{{1, "a", .5, 0}, {2, "a", .8, 0}}, .8}, {"the same again", []view{{1, "a", .5, 0}, {1, "a", .8, 0}}, .5}, {"an older one", []view{{2, "a", .5, 0}, {1, "a", .8, 0}}, .5},
		{"another origin", []view{{2, "a", .5, 0}, {1, "b", .8, 0}}, .8}, {"as large as may be", []view{{1, "a", .5, 16383}}, .5}, {"too large", []view{{1, "a", .5, 16384}}, 1},
		{"too large a newer one", []view{{1, "a", .5, 0}, {2, "a", .8, 16384}}, .5},
	} {
		w, clock, say := sharing(t, 2)
		for _, v := range c.views {
			nodes := map[string]router.NodeView{"n0000": {Weight: v.weight, Slower: 1}}
			for i := range v.nodes {
				nodes[fmt.Sprint(i)] = router.NodeView{Weight: 1, Slower: 1}
			}
			say(v.seq, v.by, nodes)
		}
		w.ticks(t, clock, 5, "n0001")
		if got := w.stat(t, "n0000").View; got != c.want {
			t.Errorf("%s: the view makes %v of the weight, want %v", c.name, got, c.want)
		}
	}
}

// If a quarter of its clients have ejected an instance, one that does not know better
// does so too, once.
func TestVotesThatEject(t *testing.T) {
	for _, c := range []struct {
		name           string
		votes, clients int
		calls          string
		ticks          int
		want           bool
	}{
		{"none", 0, 0, "", 1, false}, {"none of some", 0, 4, "", 1, false}, {"a quarter", 1, 4, "", 1, true}, {"less", 1, 5, "", 1, false}, {"all", 3, 3, "", 1, true},
		{"more than there are", 2, 1, "", 1, false}, {"less than none", -1, -4, "", 1, false}, {"before it is heeded", 4, 4, "", 0, false},
		{"good answers", 4, 4, "21*10", 1, false}, {"few good ones", 4, 4, "20*10", 1, true}, {"nine in ten", 4, 4, "21*10 2*f0", 1, false}, {"fewer", 4, 4, "21*10 3*f0", 1, true},
		{"heard long ago", 4, 4, "", -11, false}, {"just not", 4, 4, "", -10, true},
	} {
		w, clock, say := sharing(t, 4, router.WithEjection(router.Ejection{Base: 3 * time.Second, Consecutive: 10}))
		w.called(t, "n0000", c.calls)
		say(1, "a", map[string]router.NodeView{"n0000": {Weight: 1, Slower: 1, Votes: c.votes, Clients: c.clients}})
		if c.ticks < 0 { // in one step
			clock.forward(time.Duration(-c.ticks-1) * time.Second)
			c.ticks = 1
		}
		w.ticks(t, clock, c.ticks, "n0001")
		s := w.stat(t, "n0000")
		if s.Ejected != c.want || c.want && s.Reason != fmt.Sprintf("ejected by %d of %d clients", c.votes, c.clients) {
			t.Errorf("%s: ejected %v, %q, want %v", c.name, s.Ejected, s.Reason, c.want)
		}
		if !c.want || c.ticks == 0 {
			continue
		}
		w.ticks(t, clock, 5, "n0001")
		if s := w.stat(t, "n0000"); s.Ejected || s.Ejections != 1 {
			t.Errorf("%s: after its time it is ejected %v, %d times", c.name, s.Ejected, s.Ejections)
		}
		say(2, "a", map[string]router.NodeView{"n0000": {Weight: 1, Slower: 1}}) // they take it back
		w.ticks(t, clock, 1, "n0001")
		say(3, "a", map[string]router.NodeView{"n0000": {Weight: 1, Slower: 1, Votes: 4, Clients: 4}})
		w.ticks(t, clock, 1, "n0001")
		if s := w.stat(t, "n0000"); s.Ejected == (c.calls == "21*10") || s.Ejections != 2 {
			t.Errorf("%s: when they eject it again: %v, %d times", c.name, s.Ejected, s.Ejections)
		}
	}
}

// Without an aggregator each router combines what it hears, of each client the
// newest, for as long as the TTL.
func TestReportsThatCount(t *testing.T) {
	bad := router.NodeReport{ID: "n0000", Success: .6}
	good := router.NodeReport{ID: "n0000", Success: 1}
	type say struct {
		at     time.Duration
		client string
		seq    uint64
		node   router.NodeReport
		more   int // nodes
	}
	for _, c := range []struct {
		name string
		says []say
		at   time.Duration
		want float64
	}{
		{"nothing", nil, 5 * time.Second, 1},
		{"one", []say{{0, "a", 1, bad, 0}}, 5 * time.Second, .36}, {"its first has the number zero", []say{{0, "a", 0, bad, 0}}, 5 * time.Second, 1},
		{"the newest", []say{{0, "a", 1, bad, 0}, {0, "a", 2, good, 0}}, 5 * time.Second, 1}, {"as new", []say{{0, "a", 1, bad, 0}, {0, "a", 1, good, 0}}, 5 * time.Second, .36},
		{"older", []say{{0, "a", 2, bad, 0}, {0, "a", 1, good, 0}}, 5 * time.Second, .36}, {"two", []say{{0, "a", 1, bad, 0}, {0, "b", 1, good, 0}}, 5 * time.Second, .64},
		{"as large as may be", []say{{0, "a", 1, bad, 16383}}, 5 * time.Second, .36}, {"too large", []say{{0, "a", 1, bad, 16384}}, 5 * time.Second, 1},
		{"at the end of the TTL", []say{{0, "a", 1, bad, 0}, {6 * time.Second, "b", 1, good, 0}}, 10 * time.Second, .64},
		{"after it", []say{{0, "a", 1, bad, 0}, {6 * time.Second, "b", 1, good, 0}}, 13 * time.Second, 1},
		{"the last fades", []say{{0, "a", 1, bad, 0}}, 15 * time.Second, .6}, {"it has", []say{{0, "a", 1, bad, 0}}, 22 * time.Second, 1},
	} {
		x := newSpoken()
		w, clock := still(t, fleet(3), router.WithSharing(x, router.Sharing{Interval: 5 * time.Second, TTL: 10 * time.Second}))
		hear := <-x.reports
		for at := time.Duration(0); ; at += time.Second {
			for _, s := range c.says {
				if s.at == at {
					r := router.Report{Service: "greeter", Client: s.client, Seq: s.seq, Nodes: []router.NodeReport{s.node}}
					for i := range s.more {
						r.Nodes = append(r.Nodes, router.NodeReport{ID: fmt.Sprint(i), Success: 1})
					}
					hear(r)
				}
			}
			if at == c.at {
				break
			}
			w.tick(t, clock, "n0001")
		}
		if got := w.stat(t, "n0000").View; !near(got, c.want, 1e-9) {
			t.Errorf("%s: after %v the view makes %v of the weight, want %v", c.name, c.at, got, c.want)
		}
	}
}

// However many clients report, four thousand are kept, and those go on to count.
func TestReportsOfMoreClientsThanAreKept(t *testing.T) {
	x := newSpoken()
	w, clock := still(t, fleet(3), router.WithSharing(x, router.Sharing{TTL: time.Hour}))
	hear := <-x.reports
	hear(router.Report{Service: "greeter", Client: "first", Seq: 1})
	for i := range 4096 {
		hear(router.Report{Service: "greeter", Client: fmt.Sprint(i), Seq: 1, Nodes: []router.NodeReport{{ID: fmt.Sprint("m", i), Success: .6}}})
	}
	w.called(t, "n0001", "10 10")
	hear(router.Report{Service: "greeter", Client: "first", Seq: 2, Nodes: []router.NodeReport{{ID: "n0000", Success: .6}}})
	hear(router.Report{Service: "greeter", Client: "4095", Seq: 9, Nodes: []router.NodeReport{{ID: "n0002", Success: .6}}})
	w.ticks(t, clock, 5, "n0001")
	if known, unknown := w.stat(t, "n0000").View, w.stat(t, "n0002").View; !near(known, .36, 1e-9) || unknown != 1 {
		t.Errorf("what one of the first said makes %v of a weight, what one too many said %v; want 0.36 and 1", known, unknown)
	}
}

// A report has those that were called, or do badly, and of each what is new.
func TestWhatIsReported(t *testing.T) {
	const interval = 5 * time.Second
	for _, c := range []struct {
		name   string
		before string // in a report before that
		calls  string
		want   bool
		check  func(n router.NodeReport) bool
	}{
		{"no call", "", "", false, nil}, {"cancelled", "", "3*c1", false, nil},
		{"calls", "", "3*10 2*e20 c1", true, func(n router.NodeReport) bool {
			return n.Outcomes == [8]uint64{3, 2, 0, 0, 0, 0, 1, 0} && n.Latency.Count() == 6-1 && n.Success == 1 && !n.Ejected
		}},
		{"what is new", "9*10", "2*10", true, func(n router.NodeReport) bool { return n.Outcomes[0] == 2 && n.Latency.Count() == 2 }},
		{"nothing new", "9*10", "", false, nil},
		{"calls that say no latency", "", "2*0", true, func(n router.NodeReport) bool { return n.Outcomes[0] == 2 && n.Latency == nil }},
		{"a failure", "", "f10", true, func(n router.NodeReport) bool { return n.Success == .8 && n.Outcomes[2] == 1 && !n.Ejected }},
		{"it has failed", "10 f10", "", true, func(n router.NodeReport) bool { return n.Success == .8 && n.Outcomes == [8]uint64{} }},
		{"it has not done well for long enough", "f10 6*10", "", true, func(n router.NodeReport) bool { return near(n.Success, 1-.2*math.Pow(.8, 6), 1e-9) }},
		{"it has", "f10 7*10", "", false, nil},
		{"ejected", "9*f10", "", true, func(n router.NodeReport) bool { return n.Ejected && n.Outcomes == [8]uint64{} }},
	} {
		x := newSpoken()
		w, clock := still(t, fleet(3), router.WithSharing(x, router.Sharing{Interval: interval}), router.WithEjection(router.Ejection{Base: time.Hour, Max: time.Hour}))
		next := func() (n router.NodeReport, ok bool) {
			x.published = nil
			clock.forward(interval)
			w.called(t, "n0002", "10") // there is a report in any case
			w.touch(t, "n0001")
			if len(x.published) != 1 {
				t.Fatalf("%s: %d reports", c.name, len(x.published))
			}
			for _, node := range x.published[0].Nodes {
				if node.ID == "n0000" {
					n, ok = node, true
				}
			}
			return n, ok
		}
		w.called(t, "n0000", c.before)
		next()
		w.called(t, "n0000", c.calls)
		n, ok := next()
		if ok != c.want || ok && !c.check(n) {
			t.Errorf("%s: reported %v, as %+v, want %v", c.name, ok, n, c.want)
		}
	}
}

// Reports are numbered, and come once in an interval, if there is anything to say.
func TestWhenReportsAreMade(t *testing.T) {
	x := newSpoken()
	w, clock := still(t, fleet(3), router.WithSharing(x, router.Sharing{Interval: 5 * time.Second}))
	clock.until(5 * time.Second)
	w.touch(t, "n0000") // nothing to say
	for i, c := range []struct {
		forward time.Duration
		calls   int
		want    int // reports by then
	}{{5*time.Second - 1, 1, 0}, {1, 1, 0}, {time.Second, 1, 1}, {4 * time.Second, 1, 1}, {time.Second, 0, 2}, {5 * time.Second, 0, 2}, {5 * time.Second, 2, 3}} {
		clock.forward(c.forward)
		w.called(t, "n0001", strings.Repeat("10 ", c.calls))
		w.touch(t, "n0000")
		if len(x.published) != c.want {
			t.Errorf("step %d: %d reports, want %d", i, len(x.published), c.want)
		}
	}
	for i, r := range x.published {
		if r.Service != "greeter" || r.Client == "" || r.Client != x.published[0].Client || i > 0 && r.Seq <= x.published[i-1].Seq {
			t.Errorf("report %d: %+v", i, r)
		}
	}
}

// What could not be shared is shown once, until it can be again.
func TestSharingThatFailsIsShownOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		x := newSpoken()
		w := client(t, 3, router.WithSharing(x, router.Sharing{Interval: time.Second}), router.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for i, c := range []struct {
			err  error
			want int // lines by then
		}{{nil, 0}, {errors.New("no"), 1}, {errors.New("no"), 1}, {nil, 1}, {errors.New("no"), 2}, {nil, 2}} {
			x.fails(c.err)
			for range 10 { // what fails is always news
				w.pick(t).Done(router.Outcome{Class: router.Connect})
				time.Sleep(time.Second)
			}
			if got := strings.Count(log.String(), "what was seen is not shared"); got != c.want {
				t.Errorf("step %d: %d lines, want %d:\n%s", i, got, c.want, log.String())
			}
		}
		x.fails(errors.New("no"))
		w.pick(t).Done(ok(""))
		w.Router.Close(t.Context())
		if got := strings.Count(log.String(), "the last of what was seen is not shared"); got != 1 {
			t.Errorf("Close: %d lines, want one:\n%s", got, log.String())
		}
	})
}

// With a clock of the user's own, what fails is shown each time.
func TestSharingByCallsThatFailsIsShown(t *testing.T) {
	for _, err := range []error{nil, errors.New("no")} {
		var log bytes.Buffer
		x := newSpoken()
		x.fails(err)
		w, clock := still(t, fleet(2), router.WithSharing(x, router.Sharing{}), router.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		w.called(t, "n0000", "10")
		clock.forward(time.Minute)
		w.touch(t, "n0000")
		if got := strings.Contains(log.String(), "not shared"); got != (err != nil) || x.sent() != 1 {
			t.Errorf("%v: shown %v, %d reports", err, got, x.sent())
		}
	}
}

// lasting is an exchange whose followers end by themselves: how long each lasts.
type lasting struct {
	router.Exchange
	lasts []time.Duration
	began []time.Time
}

func (x *lasting) follow(ctx context.Context) error {
	n := len(x.began)
	x.began = append(x.began, time.Now())
	d := time.Duration(0)
	if n < len(x.lasts) {
		d = x.lasts[n]
	}
	select {
	case <-time.After(d):
		return errors.New("it ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (x *lasting) Reports(ctx context.Context, _ string, _ func(router.Report)) error {
	return x.follow(ctx)
}
func (x *lasting) Views(ctx context.Context, _ string, _ func(router.View)) error {
	return x.follow(ctx)
}
func (x *lasting) Publish(context.Context, router.Report) error { return nil }

// An exchange that ends is followed again, after a pause that grows up to the
// interval, and begins again after one that lasted longer than the TTL.
func TestExchangesThatEndAreFollowedAgain(t *testing.T) {
	const interval, ttl = 20 * time.Second, 15 * time.Second
	long := make([]time.Duration, 13)
	for name, follow := range map[string]func(t *testing.T, x router.Exchange) (stop func()){
		"reports": func(t *testing.T, x router.Exchange) func() {
			w := client(t, 2, router.WithSharing(x, router.Sharing{Interval: interval, TTL: ttl}))
			w.pick(t).Done(ok(""))
			return func() { w.Router.Close(context.Background()) }
		},
		"views": func(t *testing.T, x router.Exchange) func() {
			w := client(t, 2, router.WithSharing(x, router.Sharing{Interval: interval, TTL: ttl, FromViews: true}))
			w.pick(t).Done(ok(""))
			return func() { w.Router.Close(context.Background()) }
		},
		"aggregate": func(t *testing.T, x router.Exchange) func() {
			ctx, cancel := context.WithCancel(t.Context())
			go router.Aggregate(ctx, x, router.Aggregation{Interval: interval, TTL: ttl})
			return func() { cancel(); synctest.Wait() }
		},
	} {
		for _, c := range []struct {
			lasts time.Duration
			most  time.Duration // the mean pause after that
			least time.Duration
		}{{ttl + 1, 100 * time.Millisecond, 0}, {ttl, interval, time.Second}} {
			t.Run(fmt.Sprint(name, " ", c.lasts), func(t *testing.T) {
				mean, rounds := time.Duration(0), 5
				for range rounds {
					synctest.Test(t, func(t *testing.T) {
						x := &lasting{lasts: append(long[:12:12], c.lasts)}
						stop := follow(t, x)
						time.Sleep(10 * time.Minute)
						stop()
						if len(x.began) < 14 || len(x.began) > 400 {
							t.Fatalf("it was followed %d times in ten minutes", len(x.began))
						}
						mean += x.began[13].Sub(x.began[12].Add(c.lasts)) / time.Duration(rounds)
					})
				}
				if mean > c.most || mean < c.least {
					t.Errorf("after one that lasted %v it was followed again in %v, want %v to %v", c.lasts, mean, c.least, c.most)
				}
			})
		}
	}
}

// swallowing is an exchange that takes what is published, and answers nothing once it is
// silent.
type swallowing struct {
	*spoken
	silent atomic.Bool
}

func (x *swallowing) Publish(ctx context.Context, r router.Report) error {
	if x.silent.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return x.spoken.Publish(ctx, r)
}

func (*swallowing) Reports(ctx context.Context, _ string, _ func(router.Report)) error {
	<-ctx.Done()
	return ctx.Err()
}

// Close waits for an exchange that does not answer once for all services, and not
// for each.
func TestCloseWithAnExchangeThatAnswersNothing(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x := &swallowing{spoken: newSpoken()}
			var all []discovery.Instance
			for i, service := range []string{"greeter", "orders", "shop"} {
				all = append(all, discovery.Instance{ID: service, Service: service, Address: fmt.Sprintf("10.0.0.1:%d", 80+i)})
			}
			w := on(t, all, router.WithSharing(x, router.Sharing{Interval: 3 * time.Second}))
			for _, in := range all {
				p, err := w.Pick(t.Context(), in.Service)
				if err != nil {
					t.Fatal(err)
				}
				p.Done(ok(in.ID))
			}
			synctest.Wait()
			x.silent.Store(silent)
			began, want := time.Now(), map[bool]time.Duration{true: 3 * time.Second}[silent]
			if err := w.Router.Close(t.Context()); err != nil || time.Since(began) != want {
				t.Errorf("silent %t: Close took %s, want %s: %v", silent, time.Since(began), want, err)
			}
			if sent := x.sent(); sent != map[bool]int{false: 3}[silent] {
				t.Errorf("silent %t: %d reports were published", silent, sent)
			}
		})
	}
}
