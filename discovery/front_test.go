package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
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
		for _, name := range []string{"got", "looked-up", "watched", "asked-for-changes"} {
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
			d.Changes("asked-for-changes", time.Time{})
		}
		if n := f.open.Load(); n != 3 {
			t.Errorf("%d sessions after 200 s, want those of what is asked for, 3", n)
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
	if text, err := (Down + 1).MarshalText(); err == nil {
		t.Errorf("an unknown status is written as %q", text)
	}
}

func TestEntryThatIsNoJSONIsRefused(t *testing.T) {
	var e Entry
	if err := json.Unmarshal([]byte(`{"owner":"o","ttl_ms":1000,"id":"a"}`), &e); err != nil || e.Owner != "o" || e.TTL != time.Second || e.ID != "a" {
		t.Errorf("got %+v, %v", e, err)
	}
	if err := json.Unmarshal([]byte(`{"ttl_ms":"soon"}`), &e); err == nil || e.Owner != "o" {
		t.Errorf("a TTL of text: %+v, %v", e, err)
	}
}

// The parts of an instance, each with the nearest one that is refused.
func TestWhatAnInstanceMayBe(t *testing.T) {
	for _, c := range []struct {
		what      string
		good, bad func(in *Instance)
		says      string
	}{
		{"service", func(in *Instance) { in.Service = strings.Repeat("s", 128) }, func(in *Instance) { in.Service = strings.Repeat("s", 129) }, "129 bytes, at most 128"},
		{"service's letters", func(in *Instance) { in.Service = "azAZ09-._:@+" }, func(in *Instance) { in.Service = "a/b" }, "want letters, digits"},
		{"service at all", func(in *Instance) { in.Service = "s" }, func(in *Instance) { in.Service = "" }, "empty service"},
		{"id", func(in *Instance) { in.ID = strings.Repeat("i", 200) }, func(in *Instance) { in.ID = strings.Repeat("i", 201) }, "instance id"},
		{"id's letters", func(in *Instance) { in.ID = "é" }, func(in *Instance) { in.ID = "\xff" }, "instance id"},
		{"id's slash", func(in *Instance) { in.ID = "a:b" }, func(in *Instance) { in.ID = "a/b" }, "instance id"},
		{"id's spaces", func(in *Instance) { in.ID = "a_b" }, func(in *Instance) { in.ID = "a\u00a0b" }, "instance id"},
		{"id's characters", func(in *Instance) { in.ID = "a~b" }, func(in *Instance) { in.ID = "a\x00b" }, "instance id"},
		{"id at all", func(in *Instance) { in.ID = "i" }, func(in *Instance) { in.ID = "" }, "instance id"},
		{"address", func(in *Instance) { in.Address = "h:1" }, func(in *Instance) { in.Address = "h" }, "want host:port"},
		{"host", func(in *Instance) { in.Address = "[::1]:1" }, func(in *Instance) { in.Address = ":1" }, "want host:port"},
		{"unspecified host", func(in *Instance) { in.Address = "0.0.0.1:1" }, func(in *Instance) { in.Address = "0.0.0.0:1" }, "unspecified host"},
		{"unspecified host of IPv6", func(in *Instance) { in.Address = "[::2]:1" }, func(in *Instance) { in.Address = "[::ffff:0.0.0.0]:1" }, "unspecified host"},
		{"least port", func(in *Instance) { in.Address = "h:1" }, func(in *Instance) { in.Address = "h:0" }, "want a port"},
		{"greatest port", func(in *Instance) { in.Address = "h:65535" }, func(in *Instance) { in.Address = "h:65536" }, "want a port"},
		{"port's digits", func(in *Instance) { in.Address = "h:80" }, func(in *Instance) { in.Address = "h:http" }, "want a port"},
		{"weight", func(in *Instance) { in.Weight = 0 }, func(in *Instance) { in.Weight = -1 }, "is negative"},
		{"status", func(in *Instance) { in.Status = Down }, func(in *Instance) { in.Status = Down + 1 }, "is unknown"},
		{"version", func(in *Instance) { in.Version = "é" }, func(in *Instance) { in.Version = "\xe9" }, "not UTF-8"},
		{"zone", func(in *Instance) { in.Zone = "é" }, func(in *Instance) { in.Zone = "\xe9" }, "not UTF-8"},
		{"label", func(in *Instance) { in.Labels = map[string]string{"k": ""} }, func(in *Instance) { in.Labels = map[string]string{"": "v"} }, "want UTF-8 and a key"},
		{"label's key", func(in *Instance) { in.Labels = map[string]string{"é": "v"} }, func(in *Instance) { in.Labels = map[string]string{"\xe9": "v"} }, "want UTF-8 and a key"},
		{"label's value", func(in *Instance) { in.Labels = map[string]string{"k": "é"} }, func(in *Instance) { in.Labels = map[string]string{"k": "\xe9"} }, "want UTF-8 and a key"},
		{"endpoint", func(in *Instance) { in.Endpoints = []string{"é"} }, func(in *Instance) { in.Endpoints = []string{"\xe9"} }, "instance endpoint"},
		{"endpoint at all", func(in *Instance) { in.Endpoints = nil }, func(in *Instance) { in.Endpoints = []string{""} }, "instance endpoint"},
	} {
		good, bad := in("a"), in("a")
		c.good(&good)
		c.bad(&bad)
		if err := good.Validate(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if err := bad.Validate(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.what, err, c.says)
		}
	}
}

// What a listener reports becomes what others can dial.
func TestTheAddressThatOthersReach(t *testing.T) {
	both := map[bool]netip.Addr{true: netip.MustParseAddr("192.0.2.7"), false: netip.MustParseAddr("2001:db8::7")}
	six, none := map[bool]netip.Addr{false: both[false]}, map[bool]netip.Addr{}
	for _, c := range []struct {
		addr string
		has  map[bool]netip.Addr
		want string // "" is an error
	}{
		{":80", both, "192.0.2.7:80"}, {":80", six, "[2001:db8::7]:80"}, {":80", none, ""},
		{"[::]:80", both, "192.0.2.7:80"}, {"[::]:80", six, "[2001:db8::7]:80"}, {"[::]:80", none, ""},
		{"0.0.0.0:80", both, "192.0.2.7:80"}, {"0.0.0.0:80", six, ""},
		{"[::ffff:0.0.0.0]:80", six, ""},
		{"0.0.0.1:80", none, "0.0.0.1:80"}, {"[::1]:80", none, "[::1]:80"}, {"host:80", none, "host:80"}, {"no port", none, "no port"},
	} {
		got, err := resolve(c.addr, func(v4 bool) (netip.Addr, bool) { a, ok := c.has[v4]; return a, ok })
		if got != c.want || (c.want == "") != errors.Is(err, ErrInvalid) {
			t.Errorf("%s on a host with %v: %q, %v, want %q", c.addr, c.has, got, err, c.want)
		}
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
