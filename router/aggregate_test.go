package router_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
)

// combined is an exchange that hands an aggregator's reader to a test, and keeps the
// views that it publishes.
type combined struct {
	router.Exchange
	hear  func(router.Report)
	views []router.View
	at    []time.Time
	err   error
	hangs bool
}

func (x *combined) Reports(ctx context.Context, service string, f func(router.Report)) error {
	if service != "" {
		return errors.New("not of all services")
	}
	x.hear = f
	<-ctx.Done()
	return ctx.Err()
}

func (x *combined) PublishView(ctx context.Context, v router.View) error {
	x.views, x.at = append(x.views, v), append(x.at, time.Now())
	if x.hangs {
		<-ctx.Done()
	}
	return x.err
}

// aggregated runs an aggregator in a bubble while f does.
func aggregated(t *testing.T, x *combined, a router.Aggregation, f func()) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		lost, ended := errors.New("lost the election"), make(chan error, 1)
		go func() { ended <- router.Aggregate(ctx, x, a) }()
		synctest.Wait()
		f()
		cancel(lost)
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, lost) {
				t.Errorf("it ended with %v, want its context's cause", err)
			}
		default:
			t.Error("it did not end with its context")
		}
	})
}

func reportOf(service, client string, seq uint64) router.Report {
	return router.Report{Service: service, Client: client, Seq: seq, Nodes: []router.NodeReport{{ID: "n", Success: 1}}}
}

// A view of each service comes once in an interval, of what was heard within the TTL.
func TestAggregatorsViews(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name string
		a    router.Aggregation
		says map[time.Duration]string // clients of service s, by when
		at   time.Duration
		want []int // clients of each view
	}{
		{"nothing", router.Aggregation{}, nil, 60 * s, nil}, {"before the interval", router.Aggregation{}, map[time.Duration]string{0: "a"}, 5*s - 1, nil},
		{"by itself", router.Aggregation{}, map[time.Duration]string{0: "a"}, 16 * s, []int{1, 1, 1}}, {"after the TTL", router.Aggregation{}, map[time.Duration]string{0: "a"}, 60 * s, []int{1, 1, 1}},
		{"one more", router.Aggregation{}, map[time.Duration]string{0: "a", 6 * s: "b"}, 30 * s, []int{1, 2, 2, 1}},
		{"an interval", router.Aggregation{Interval: s, TTL: 3 * s}, map[time.Duration]string{0: "ab"}, 10 * s, []int{2, 2, 2}}, {"again", router.Aggregation{Interval: s, TTL: s}, map[time.Duration]string{0: "a", 5*s - 1: "a"}, 10 * s, []int{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &combined{}
			aggregated(t, x, c.a, func() {
				began := time.Now()
				seq := uint64(0)
				for at := time.Duration(0); at <= c.at; at += s {
					for _, when := range []time.Duration{at - 1, at} {
						time.Sleep(when - time.Since(began))
						for _, client := range c.says[when] {
							seq++
							x.hear(reportOf("s", string(client), seq))
						}
					}
				}
				time.Sleep(c.at - time.Since(began))
				synctest.Wait()
			})
			var got []int
			for i, v := range x.views {
				got = append(got, v.Clients)
				if v.Service != "s" || v.By == "" || v.By != x.views[0].By || i > 0 && v.Seq <= x.views[i-1].Seq || len(v.Nodes) != 1 {
					t.Errorf("view %d: %+v", i, v)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("views of %v clients, want %v", got, c.want)
			}
		})
	}
}

// What cannot be published is left to the next time, and holds nothing up for long.
func TestAggregatorWhoseViewsFail(t *testing.T) {
	for name, x := range map[string]*combined{"fails": {err: errors.New("no")}, "hangs": {hangs: true}} {
		aggregated(t, x, router.Aggregation{Interval: time.Second, TTL: time.Hour}, func() {
			x.hear(reportOf("s", "a", 1))
			x.hear(reportOf("t", "a", 1))
			time.Sleep(30*time.Second + 1)
			synctest.Wait()
		})
		if n := len(x.views); x.hangs && (n < 19 || n > 22) || !x.hangs && n != 60 {
			t.Errorf("%s: %d views of two services in half a minute", name, n)
		}
	}
}

// Of how many services reports are kept is bounded; those that are known go on to count.
func TestAggregatorKeepsSoManyServices(t *testing.T) {
	x := &combined{}
	aggregated(t, x, router.Aggregation{Interval: time.Second, TTL: time.Second}, func() {
		x.hear(reportOf("", "a", 1))
		for i := range 4097 {
			x.hear(reportOf(fmt.Sprint(i), "a", 1))
		}
		x.hear(reportOf("0", "b", 1))
		time.Sleep(time.Second)
		synctest.Wait()
		if len(x.views) != 4096 {
			t.Errorf("%d views, want 4096", len(x.views))
		}
		for _, v := range x.views {
			if v.Service == "4096" || v.Service == "" || (v.Clients == 2) != (v.Service == "0") {
				t.Errorf("a view of %q, by %d clients", v.Service, v.Clients)
			}
		}
		x.views = nil
		time.Sleep(1500 * time.Millisecond)
		x.hear(reportOf("another", "a", 1)) // there is room again
		time.Sleep(time.Second)
		synctest.Wait()
		if len(x.views) != 1 || x.views[0].Service != "another" {
			t.Errorf("after the others have gone: %d views", len(x.views))
		}
	})
}

func TestBadAggregationsAreRefused(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		x    router.Exchange
		a    router.Aggregation
		want error
	}{
		"no exchange": {nil, router.Aggregation{}, router.ErrInvalid}, "interval": {&combined{}, router.Aggregation{Interval: -1}, router.ErrInvalid}, "TTL": {&combined{}, router.Aggregation{TTL: -1}, router.ErrInvalid},
		"good": {&combined{}, router.Aggregation{}, context.Canceled}, "the least": {&combined{}, router.Aggregation{Interval: 1, TTL: 1}, context.Canceled},
	} {
		if err := router.Aggregate(ctx, c.x, c.a); !errors.Is(err, c.want) || errors.Is(err, router.ErrInvalid) != (c.want == router.ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
