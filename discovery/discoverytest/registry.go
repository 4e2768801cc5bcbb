package discoverytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
)

func asRegistered(t *c) {
	writer, reader := t.open(), t.open()
	labels := map[string]string{
		"driver": "mysql", "with space": "a b", "dotted.key/slash": "x=y&z;\"'", "ünïcödé": "日本語", "empty": "", "long": strings.Repeat("v", 2000),
	}
	if t.h.Features.NoLabels {
		labels = nil
	}
	full := discovery.Instance{
		Service: "go.micro_srv-greeter@x:y+z", ID: "host:8080-日本", Version: "1.2.3-rc.1+build", Address: "[::1]:8080", Zone: "eu-west/1a",
		Labels: labels, Endpoints: []string{"Greeter.Hello", "/v1/things/{id}"}, Weight: 7, Status: discovery.Starting,
	}
	bare := discovery.Instance{Service: full.Service, ID: "bare", Address: "localhost:1"}
	t.register(writer, full)
	t.register(writer, bare)
	s := t.see(reader, full.Service, "bare "+full.ID)
	for i, want := range []discovery.Instance{bare, full} {
		if got := s.Instances[i]; !got.Equal(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if s.Service != full.Service || s.AsOf.IsZero() || s.Err != nil || s.Revision == 0 {
		t.Errorf("snapshot of %q at %v, revision %d, err %v", s.Service, s.AsOf, s.Revision, s.Err)
	}
	cached, ok := reader.Lookup(full.Service)
	if !ok || ids(cached) != ids(s) {
		t.Errorf("Lookup: [%s], %t, want [%s]", ids(cached), ok, ids(s))
	}
	r := t.register(writer, discovery.Instance{Service: full.Service, Address: "h:1"})
	if r.Instance().ID == "" {
		t.Error("an empty ID was not filled in")
	}
}

func unknownService(t *c) {
	d := t.open()
	if s, ok := d.Lookup("nobody"); ok || s.State != discovery.Cold {
		t.Errorf("Lookup before Get: %v, %t, want cold, false", s.State, ok)
	}
	s := t.get(d, "nobody")
	if s.State != discovery.Live || len(s.Instances) != 0 {
		t.Errorf("Get: %v [%s], want live and empty", s.State, ids(s))
	}
	if s, ok := d.Lookup("nobody"); !ok || s.State != discovery.Live {
		t.Errorf("Lookup after Get: %v, %t, want live, true", s.State, ok)
	}
}

func updateAndDrain(t *c) (late string) {
	writer, reader := t.open(), t.open()
	r := t.register(writer, instance("s", "a"))
	t.see(reader, "s", "a")
	if err := r.Update(t.Context(), func(in *discovery.Instance) { in.Version, in.Weight = "2", 5 }); err != nil {
		t.Fatal(err)
	}
	t.await(reader, "s", "version 2", patience, func(s discovery.Snapshot) bool {
		return len(s.Instances) == 1 && s.Instances[0].Version == "2" && s.Instances[0].Weight == 5
	})
	err := r.Update(t.Context(), func(in *discovery.Instance) { in.ID = "b" })
	t.wantIs("an update of the id", err, discovery.ErrInvalid)
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(t.Context(), t.ttl) }()
	_, seen := t.saw(reader, "s", t.ttl, func(s discovery.Snapshot) bool {
		return len(s.Instances) == 1 && s.Instances[0].Status == discovery.Draining
	})
	t.await(reader, "s", "nobody", t.ttl+patience, live(""))
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
	if !seen {
		return "nobody saw that it was draining"
	}
	if err := r.Deregister(t.Context()); err != nil {
		t.Errorf("deregister after drain: %v", err)
	}
	t.wantIs("an update after it", r.Update(t.Context(), func(*discovery.Instance) {}), discovery.ErrClosed)
	t.wantIs("Err after it", r.Err(), discovery.ErrClosed)
	return ""
}

func lastLeaves(t *c) {
	writer, reader := t.open(discovery.WithTTL(long)), t.open()
	a, b := t.register(writer, instance("s", "a")), t.register(writer, instance("s", "b"))
	t.see(reader, "s", "a b")
	for _, r := range []discovery.Registration{a, b} {
		if err := r.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		// See waits for less than the TTL: what it sees is no expiry.
		t.see(reader, "s", map[discovery.Registration]string{a: "b", b: ""}[r])
	}
	// The same id may come again.
	t.register(writer, instance("s", "a"))
	t.see(reader, "s", "a")
}

func expires(t *c) (late string) {
	writer, reader := t.open(), t.open()
	t.register(writer, instance("s", "stays"), discovery.TTL(long))
	t.see(reader, "s", "stays")
	began := time.Now()
	t.register(writer, instance("s", "goes"), discovery.NoHeartbeat())
	if _, seen := t.saw(reader, "s", t.ttl, live("goes stays")); !seen {
		return "nobody saw the instance"
	}
	t.await(reader, "s", "the other", t.ttl+patience, live("stays"))
	d := time.Since(began)
	if d < t.ttl-50*time.Millisecond {
		t.Errorf("gone after %v, want %v", d, t.ttl)
	}
	names, err := reader.Services(t.Context())
	if err != nil || fmt.Sprint(names) != "[s]" {
		t.Errorf("Services: %v, %v", names, err)
	}
	return t.late("gone", d)
}

// late says so if something took longer than the TTL and the slack.
func (t *c) late(what string, after time.Duration) string {
	if after > t.ttl+t.h.Slack {
		return fmt.Sprintf("%s after %v, want %v at most", what, after, t.ttl+t.h.Slack)
	}
	return ""
}

func heartbeats(t *c) (late string) {
	writer, reader := t.open(), t.open()
	r := t.register(writer, instance("s", "a"))
	t.see(reader, "s", "a")
	gone, saw := t.saw(reader, "s", 2*t.ttl+t.ttl/2, func(s discovery.Snapshot) bool { return ids(s) != "a" || s.Preserved > 0 })
	beats := slices.DeleteFunc(r.Heartbeats(), func(b discovery.Heartbeat) bool { return b.Err != nil })
	for i := 1; i < len(beats); i++ {
		// The registry had the one after its At, and the next before its At and what it took.
		if d := beats[i].At.Add(beats[i].Took).Sub(beats[i-1].At); d >= t.ttl {
			return fmt.Sprintf("%v from heartbeat to heartbeat", d)
		}
	}
	if n := len(beats); saw && (n == 0 || time.Since(beats[n-1].At) >= t.ttl) {
		return "the last heartbeat that succeeded is a TTL ago"
	}
	if saw {
		t.Errorf("the instance is gone: %v [%s], %d preserved, err %v", gone.State, ids(gone), gone.Preserved, gone.Err)
	}
	t.eventually("the registration is confirmed", func() bool { return r.Err() == nil })
	names, err := reader.Services(t.Context())
	if err != nil || fmt.Sprint(names) != "[s]" {
		t.Errorf("Services: %v, %v", names, err)
	}
	return ""
}

func comesBack(t *c) {
	writer, other := t.open(), t.open()
	t.register(writer, instance("s", "a"))
	// Another process takes the id over and removes it.
	thief := t.register(other, instance("s", "a"))
	if err := thief.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.see(other, "s", "a")
}

func prefixes(t *c) {
	writer, reader := t.open(), t.open()
	t.get(reader, "user")
	for _, name := range []string{"user-admin", "user.x", "users", "user:1", "use"} {
		t.register(writer, instance(name, "of-"+name))
		t.see(reader, name, "of-"+name)
	}
	t.never(reader, "user", "an instance of another", time.Now().Add(200*time.Millisecond), func(s discovery.Snapshot) bool { return len(s.Instances) > 0 })
	t.register(writer, instance("user", "own"))
	t.see(reader, "user", "own")
}

func namespaces(t *c) {
	one := t.open(discovery.WithTTL(long))
	two := t.open(discovery.WithTTL(long), discovery.WithNamespace(t.name+"2"))
	t.register(one, instance("s", "a"))
	t.register(one, instance("only-one", "a"))
	t.register(two, instance("s", "b"))
	t.see(one, "s", "a")
	t.see(two, "s", "b")
	for d, want := range map[discovery.Discovery]string{one: "[only-one s]", two: "[s]"} {
		if names, err := d.Services(t.Context()); err != nil || fmt.Sprint(names) != want {
			t.Errorf("Services: %v, %v, want %s", names, err, want)
		}
	}
}

func preserved(t *c) (late string) {
	limit := 2 * t.ttl // what a reader is told meanwhile is the last, not all
	writer, reader := t.open(), t.open(discovery.WithPreservation(0.3, limit))
	each(5, func(i int) { t.register(writer, instance("s", numbered(i)), discovery.TTL(long)) })
	t.get(reader, "s")
	began := time.Now()
	each(5, func(i int) { t.register(writer, instance("s", numbered(i+5)), discovery.NoHeartbeat()) })
	all, seen := t.saw(reader, "s", t.ttl, func(s discovery.Snapshot) bool { return len(s.Instances) == 10 && s.Preserved == 0 })
	if !seen {
		return "nobody saw all ten alive"
	}
	kept, seen := t.saw(reader, "s", t.ttl+limit, func(s discovery.Snapshot) bool { return s.Preserved == 5 })
	if !seen {
		return "nobody saw the five kept"
	}
	if ids(kept) != ids(all) || kept.State != discovery.Live {
		t.Errorf("kept [%s] %v, want [%s]", ids(kept), kept.State, ids(all))
	}
	// Not indefinitely.
	t.await(reader, "s", "five", limit+patience, live("i-00 i-01 i-02 i-03 i-04"))
	if d := time.Since(began); d < t.ttl+limit-100*time.Millisecond {
		t.Errorf("dropped %v after they were registered, want TTL and %v", d, limit)
	}
	return ""
}

func massLeave(t *c) {
	writer, reader := t.open(discovery.WithTTL(long)), t.open(discovery.WithPreservation(0, time.Hour))
	all := make([]discovery.Registration, 8)
	for i := range all {
		all[i] = t.register(writer, instance("s", numbered(i)))
	}
	t.await(reader, "s", "eight", patience, func(s discovery.Snapshot) bool { return len(s.Instances) == 8 })
	each(len(all), func(i int) {
		if err := all[i].Deregister(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.see(reader, "s", "")
}

// crash registers instances that live for one TTL, as a process leaves them
// that is killed right after a heartbeat, and returns when that was at the
// latest, and whether the reader saw all of them.
func (t *c) crash(writer, reader discovery.Discovery, all ...string) (last time.Time, seen bool) {
	each(len(all), func(i int) { t.register(writer, instance("s", all[i]), discovery.NoHeartbeat()) })
	last = time.Now()
	_, seen = t.saw(reader, "s", t.ttl, live(strings.Join(all, " ")))
	return last, seen
}

func crashAndReplace(t *c) (late string) {
	// The reader has a TTL of its own for what it registers; that of others is theirs.
	writer, reader := t.open(), t.open(discovery.WithTTL(15*time.Second))
	began, seen := t.crash(writer, reader, "i-00", "i-01", "i-02")
	if !seen {
		return "nobody saw those that crash"
	}
	each(3, func(i int) { t.register(writer, instance("s", numbered(i+3)), discovery.TTL(long)) })
	if time.Since(began) > t.ttl {
		return "the three were replaced too late"
	}
	return t.gone(reader, began, "i-03 i-04 i-05")
}

func crashTogether(t *c) (late string) {
	writer, reader := t.open(), t.open(discovery.WithTTL(15*time.Second))
	began, seen := t.crash(writer, reader, "i-00", "i-01")
	if !seen {
		return "nobody saw those that crash"
	}
	return t.gone(reader, began, "")
}

// gone waits until only the ids that are named are there, not kept either, and
// says so if that was late.
func (t *c) gone(reader discovery.Discovery, began time.Time, stay string) (late string) {
	t.Helper()
	t.await(reader, "s", "["+stay+"]", 3*t.ttl+patience, func(s discovery.Snapshot) bool { return ids(s) == stay })
	return t.late("no longer offered", time.Since(began))
}

// never fails the case if the snapshot is ever bad until a time.
func (t *c) never(d discovery.Discovery, service, what string, until time.Time, bad func(s discovery.Snapshot) bool) {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), until)
	defer cancel()
	for s, err := range d.Watch(ctx, service) {
		if err == nil && bad(s) {
			t.Errorf("saw %s: %v [%s], %d preserved, err %v", what, s.State, ids(s), s.Preserved, s.Err)
			return
		}
	}
}
