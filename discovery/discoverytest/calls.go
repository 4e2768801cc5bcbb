package discoverytest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
)

func readersAgree(t *c) {
	writer := t.open()
	readers := []discovery.Discovery{t.open(), t.open(), t.open()}
	const n = 30
	var want []string
	for i := range n {
		want = append(want, numbered(i))
	}
	each(len(readers), func(i int) { t.get(readers[i], "s") })
	each(n, func(i int) { t.register(writer, instance("s", numbered(i))) })
	for _, d := range readers {
		t.see(d, "s", strings.Join(want, " "))
	}
}

func watchStory(t *c) {
	writer, reader := t.open(), t.open()
	t.register(writer, instance("s", "a"))
	t.see(reader, "s", "a")
	first := true
	var revision uint64
	for s, err := range reader.Watch(t.Context(), "s") {
		if err != nil {
			t.Fatal(err)
		}
		if s.Revision <= revision {
			t.Errorf("revision %d after %d", s.Revision, revision)
		}
		revision = s.Revision
		if first {
			first = false
			if ids(s) != "a" {
				t.Errorf("first [%s], want [a]", ids(s))
			}
			// Several changes while this reader is busy.
			for _, id := range []string{"b", "c", "d"} {
				t.register(writer, instance("s", id))
			}
			t.see(reader, "s", "a b c d")
			continue
		}
		if ids(s) == "a b c d" {
			break
		}
	}
}

func watchContext(t *c) {
	d := t.open()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for s, err := range d.Watch(ctx, "s") {
		n++
		if n == 1 {
			if err != nil || s.State != discovery.Live {
				t.Fatalf("first: %v, %v", s.State, err)
			}
			cancel()
			continue
		}
		t.wantIs("the last error", err, context.Canceled)
	}
	if n != 2 {
		t.Errorf("%d pairs, want 2", n)
	}
}

func closing(t *c) {
	d, reader := t.open(discovery.WithTTL(long)), t.open(discovery.WithPreservation(0, time.Hour))
	for _, id := range []string{"a", "b", "c"} {
		t.register(d, instance("s", id))
	}
	t.see(reader, "s", "a b c")
	watched := make(chan error, 1)
	started := make(chan bool)
	go func() {
		for _, err := range d.Watch(t.Context(), "other") {
			if err != nil {
				watched <- err
				return
			}
			close(started)
		}
	}()
	<-started
	each(3, func(int) {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.wantIs("a watch during Close", <-watched, discovery.ErrClosed)
	t.see(reader, "s", "")
}

func afterClose(t *c) {
	d := t.open()
	r := t.register(d, instance("s", "a"))
	t.get(d, "s")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := d.Register(t.Context(), instance("s", "b"))
	t.wantIs("register", err, discovery.ErrClosed)
	_, err = d.Get(t.Context(), "s")
	t.wantIs("get", err, discovery.ErrClosed)
	_, err = d.Services(t.Context())
	t.wantIs("services", err, discovery.ErrClosed)
	for _, err := range d.Watch(t.Context(), "s") {
		t.wantIs("watch", err, discovery.ErrClosed)
	}
	t.wantIs("update", r.Update(t.Context(), func(*discovery.Instance) {}), discovery.ErrClosed)
	if err := r.Deregister(t.Context()); err != nil {
		t.Errorf("deregister of what Close deregistered: %v", err)
	}
	if s, ok := d.Lookup("s"); ok {
		t.Errorf("Lookup still answers: [%s]", ids(s))
	}
	if err := d.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func cancelled(t *c) {
	d := t.open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Register(ctx, instance("s", "a"))
	t.wantIs("register", err, context.Canceled)
	_, err = d.Services(ctx)
	t.wantIs("services", err, context.Canceled)
	for _, err := range d.Watch(ctx, "s") {
		t.wantIs("watch", err, context.Canceled)
	}
	// Nothing stays behind, and the id is free.
	t.register(d, instance("s", "b"))
	t.see(d, "s", "b")
	t.register(d, instance("s", "a"))
	t.see(d, "s", "a b")
}

// at is whether the set is one instance at an address.
func at(address string) func(s discovery.Snapshot) bool {
	return func(s discovery.Snapshot) bool {
		return s.State == discovery.Live && len(s.Instances) == 1 && s.Instances[0].Address == address
	}
}

func sameID(t *c) {
	// The first has to notice, by its next heartbeat, and to live until it is replaced.
	one, two, reader := t.open(discovery.WithTTL(max(t.ttl, 5*time.Second))), t.open(discovery.WithTTL(long)), t.open()
	here, there := instance("s", "a"), instance("s", "a")
	there.Address = "127.0.0.1:9090"
	first := t.register(one, here)
	t.see(reader, "s", "a")
	_, err := one.Register(t.Context(), there)
	t.wantIs("a second registration in the process", err, discovery.ErrExists)
	_, err = two.Register(t.Context(), there)
	t.wantIs("one of another process", err, discovery.ErrExists)
	if s, err := reader.Get(t.Context(), "s", discovery.MaxStale(0)); err != nil || !at(here.Address)(s) {
		t.Errorf("after a refusal: %+v, %v", s.Instances, err)
	}

	second := t.register(two, there, discovery.Replace())
	t.await(reader, "s", "the second", patience, at(there.Address))
	t.eventually("the first notices", func() bool { return errors.Is(first.Err(), discovery.ErrExists) })
	t.wantIs("an update of the first", first.Update(t.Context(), func(in *discovery.Instance) { in.Version = "2" }), discovery.ErrExists)
	if err := second.Err(); err != nil {
		t.Errorf("the second: %v", err)
	}
	if err := first.Deregister(t.Context()); err != nil {
		t.Errorf("goodbye of the first: %v", err)
	}
	t.never(reader, "s", "the second gone", time.Now().Add(t.ttl), func(s discovery.Snapshot) bool { return !at(there.Address)(s) })
}

// A process that crashed and comes back at its address has its id at once, and
// one that lost its id has it again when the other leaves.
func idComesBack(t *c) {
	one, two, reader := t.open(), t.open(discovery.WithTTL(long)), t.open()
	first := t.register(one, instance("s", "a"))
	t.see(reader, "s", "a")
	again := instance("s", "a")
	again.Version = "2"
	second := t.register(two, again)
	version := func(v string) func(s discovery.Snapshot) bool {
		return func(s discovery.Snapshot) bool { return len(s.Instances) == 1 && s.Instances[0].Version == v }
	}
	t.await(reader, "s", "the second at the same address", patience, version("2"))
	t.eventually("the first notices", func() bool { return errors.Is(first.Err(), discovery.ErrExists) })
	if err := second.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.await(reader, "s", "the first again", t.ttl+patience, version(""))
	t.eventually("the first is confirmed", func() bool { return first.Err() == nil })
}

// A listener's own address is one that others can dial.
func ownAddress(t *c) {
	d := t.open()
	want, err := discovery.HostPort(":8080")
	if err != nil {
		t.wantIs("register without a reachable address", func() error {
			_, err := d.Register(t.Context(), discovery.Instance{Service: "s", Address: "0.0.0.0:8080"})
			return err
		}(), discovery.ErrInvalid)
		return
	}
	for i, address := range []string{"[::]:8080", "0.0.0.0:8080", ":8080"} {
		in := instance("s", numbered(i))
		in.Address = address
		r := t.register(d, in)
		if got := r.Instance().Address; got != want {
			t.Errorf("%s is registered as %s, want %s", address, got, want)
		}
		if err := r.Update(t.Context(), func(in *discovery.Instance) { in.Address = ":8080" }); err != nil {
			t.Errorf("update: %v", err)
		}
	}
	for _, in := range t.see(d, "s", "i-00 i-01 i-02").Instances {
		if in.Address != want {
			t.Errorf("%s is read as %s, want %s", in.ID, in.Address, want)
		}
	}
}

func maxStale(t *c) {
	writer, reader := t.open(discovery.WithTTL(long)), t.open()
	t.get(reader, "s")
	for i, want := range []string{"i-00", "i-00 i-01", "i-00 i-01 i-02"} {
		t.register(writer, instance("s", numbered(i)))
		began := time.Now()
		s, err := reader.Get(t.Context(), "s", discovery.MaxStale(0))
		if err != nil || ids(s) != want {
			t.Errorf("got [%s], %v, want [%s]", ids(s), err, want)
		}
		if s.AsOf.Before(began) {
			t.Errorf("as of %v before the call", began.Sub(s.AsOf))
		}
	}
}

func invalid(t *c) {
	d := t.open()
	ok := instance("s", "a")
	for what, change := range map[string]func(in *discovery.Instance){
		"an empty service":        func(in *discovery.Instance) { in.Service = "" },
		"a service with a slash":  func(in *discovery.Instance) { in.Service = "a/b" },
		"a service with a space":  func(in *discovery.Instance) { in.Service = "a b" },
		"a long service":          func(in *discovery.Instance) { in.Service = strings.Repeat("s", 129) },
		"an id with a slash":      func(in *discovery.Instance) { in.ID = "a/b" },
		"an id with a line break": func(in *discovery.Instance) { in.ID = "a\nb" },
		"no address":              func(in *discovery.Instance) { in.Address = "" },
		"an address without port": func(in *discovery.Instance) { in.Address = "host" },
		"a port that is none":     func(in *discovery.Instance) { in.Address = "host:99999" },
		"a negative weight":       func(in *discovery.Instance) { in.Weight = -1 },
		"an unknown status":       func(in *discovery.Instance) { in.Status = 200 },
		"a label without key":     func(in *discovery.Instance) { in.Labels = map[string]string{"": "x"} },
		"a label that isn't UTF-8": func(in *discovery.Instance) {
			in.Labels = map[string]string{"k": "\xff"}
		},
	} {
		in := ok
		change(&in)
		if _, err := d.Register(t.Context(), in); !errors.Is(err, discovery.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		}
	}
	_, err := d.Register(t.Context(), ok, discovery.TTL(time.Millisecond))
	t.wantIs("a TTL of 1 ms", err, discovery.ErrInvalid)
	_, err = d.Register(t.Context(), ok, nil)
	t.wantIs("a nil option", err, discovery.ErrInvalid)
	_, err = d.Get(t.Context(), "")
	t.wantIs("get of no name", err, discovery.ErrInvalid)
	_, err = d.Get(t.Context(), "s", discovery.MaxStale(-1))
	t.wantIs("a negative staleness", err, discovery.ErrInvalid)
	for _, err := range d.Watch(t.Context(), "a/b") {
		t.wantIs("watch of no name", err, discovery.ErrInvalid)
	}
}
