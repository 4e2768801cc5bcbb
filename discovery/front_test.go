package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLookupDoesNotAllocate(t *testing.T) {
	d := must(New())
	defer d.Close()
	must(d.Register(t.Context(), in("a")))
	must(d.Get(t.Context(), "s"))
	name := strings.Clone("s")
	if n := testing.AllocsPerRun(1000, func() {
		if s, ok := d.Lookup(name); !ok || len(s.Instances) != 1 {
			t.Fatal("not there")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryoneInAProcessSharesOneWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option()))
		defer d.Close()
		must(d.Register(t.Context(), in("a")))
		ctx, cancel := context.WithCancel(t.Context())
		for range 10 {
			go func() {
				for range d.Watch(ctx, "s") {
				}
			}()
			for range 100 {
				must(d.Get(t.Context(), "s"))
				d.Lookup("s")
			}
		}
		synctest.Wait()
		if n := f.watches.Load(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
		if s, ok := d.Lookup("other"); ok || f.watches.Load() != 1 {
			t.Errorf("Lookup of another service: %v, or it began to watch", s)
		}
		cancel()
	})
}

func TestWhatNobodyAsksForIsNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option(), WithIdle(time.Minute)))
		defer d.Close()
		for _, name := range []string{"got", "looked-up", "watched"} {
			must(d.Get(t.Context(), name))
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range d.Watch(ctx, "watched") {
			}
		}()
		for range 20 {
			time.Sleep(10 * time.Second)
			d.Lookup("looked-up")
		}
		if n := f.open.Load(); n != 2 {
			t.Errorf("%d sessions after 200 s, want those of what is asked for, 2", n)
		}
		if _, ok := d.Lookup("got"); ok {
			t.Error("an idle service is still there")
		}
		cancel()
		time.Sleep(2 * time.Minute)
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d sessions, want none", n)
		}
		if s := must(d.Get(t.Context(), "got")); s.State != Live {
			t.Errorf("asked again: %v", s.State)
		}
	})
}

func TestManyWaitersOfMaxStaleShareOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option()))
		defer d.Close()
		must(d.Get(t.Context(), "s"))
		before := f.watches.Load()
		time.Sleep(time.Minute)
		done := make(chan error)
		for range 50 {
			go func() {
				_, err := d.Get(t.Context(), "s", MaxStale(time.Second))
				done <- err
			}()
		}
		for range 50 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := f.watches.Load() - before; n > 2 {
			t.Errorf("%d sessions for 50 callers", n)
		}
	})
}

func TestBadOptionsAreErrors(t *testing.T) {
	for what, opts := range map[string][]Option{
		"nil":               {nil},
		"no memory":         {Memory(nil)},
		"two backends":      {Memory(NewRegistry()), Memory(NewRegistry())},
		"no driver":         {WithDriver("x", nil)},
		"a namespace":       {WithNamespace("a/b")},
		"an empty one":      {WithNamespace("")},
		"a TTL":             {WithTTL(time.Millisecond)},
		"a timeout":         {WithTimeout(0)},
		"a dial timeout":    {WithDialTimeout(-1)},
		"an idle time":      {WithIdle(0)},
		"a share":           {WithPreservation(2, time.Second)},
		"a limit":           {WithPreservation(0.5, 0)},
		"retry":             {WithRetry(time.Second, time.Millisecond)},
		"a logger":          {WithLogger(nil)},
		"open's own":        {WithDriver("x", func(context.Context) (Driver, error) { return nil, errors.New("malformed") })},
		"a later one":       {WithLazy(), nil},
		"a logger that is.": {WithLogger(slog.New(slog.DiscardHandler)), nil},
	} {
		d, err := New(opts...)
		if !errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), "discovery") {
			t.Errorf("%s: got %v, want an ErrInvalid of discovery", what, err)
		}
		if err == nil {
			d.Close()
		}
	}
}

func TestStatusText(t *testing.T) {
	for s := Up; s <= Down; s++ {
		text, err := s.MarshalText()
		var back Status
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v: %s, %v, %v", s, text, err, back)
		}
	}
	var s Status
	if s.UnmarshalText([]byte("odd")) == nil {
		t.Error("an unknown status is read")
	}
}

func BenchmarkLookup(b *testing.B) {
	d := must(New())
	defer d.Close()
	for i := range 200 {
		must(d.Get(b.Context(), fmt.Sprintf("service-%d", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := d.Lookup("service-77"); !ok {
			b.Fatal("not there")
		}
	}
}

func BenchmarkLookupParallel(b *testing.B) {
	d := must(New())
	defer d.Close()
	must(d.Get(b.Context(), "service-77"))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Lookup("service-77")
		}
	})
}
