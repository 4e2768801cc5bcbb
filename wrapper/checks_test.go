package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/wrapper"
)

func TestEachCheckHasAGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo, err := monitor.New()
		if err != nil {
			t.Fatal(err)
		}
		mt, err := metrics.New()
		if err != nil {
			t.Fatal(err)
		}
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithMonitor(mo), wrapper.WithMetrics(mt))
		if err != nil {
			t.Fatal(err)
		}
		var says atomic.Pointer[error]
		set := func(err error) { says.Store(&err) }
		set(nil)
		register := func(name string, f func(context.Context) error) {
			if err := mo.Register(monitor.Check{Name: name, Interval: time.Second, Timeout: time.Second, FailAfter: 1, Func: f}); err != nil {
				t.Fatal(err)
			}
		}
		check := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, f := range mt.Snapshot().Families {
				for _, s := range f.Series {
					if f.Name == "platform.check.status" {
						got = append(got, fmt.Sprint(strings.Join(s.Values, " "), " ", s.Value))
					}
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		check("without checks")
		register("database", func(context.Context) error { return *says.Load() })
		register("slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		time.Sleep(500 * time.Millisecond)
		check("one has no result yet", "database 1")
		time.Sleep(5 * time.Second)
		check("one passes", "database 1", "slow 0")
		set(monitor.Degraded(errors.New("half of it")))
		time.Sleep(5 * time.Second)
		check("one warns", "database 0.5", "slow 0")
		set(errors.New("refused"))
		time.Sleep(5 * time.Second)
		check("one fails", "database 0", "slow 0")
		set(nil)
		mo.Deregister("slow")
		time.Sleep(5 * time.Second)
		check("well again, and one is no more", "database 1")
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		check("closed")
	})
}
