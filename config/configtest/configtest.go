// Package configtest is the conformance suite of config's sources. A driver's
// test describes its backend as a Harness and calls Run.
package configtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/leak"
)

// Harness is one document of a backend, at first absent.
type Harness struct {
	// Source returns a source of the document; each is used by one Config.
	Source func() config.Source
	// Set replaces the document, which is JSON unless Encode is set.
	Set func(doc string)
	// Delete removes the document; nil if the backend can't.
	Delete func()
	// Encode turns the suite's JSON documents into what Set takes; nil: as they are.
	Encode func(json string) string
	// Options of WithSource: how often to poll what can't watch.
	Options []config.SourceOption
	// Down takes the backend away and Up brings it back with its content; nil if
	// the backend can't be away.
	Down, Up func()
	// Requests counts what the backend was asked so far; nil if nobody counts.
	Requests func() int
	// IdleRequests is how many requests are allowed while Idle passes without a
	// change.
	IdleRequests int
	Idle         time.Duration
	// Within is how soon a change must be seen; 0 means 5 s.
	Within time.Duration
	// Lenient says that Set can't write malformed documents.
	Lenient bool
}

// Run tests the source that harness describes. harness is called for each case
// and returns a document of its own.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			leak.Check(t)
			h := harness(t)
			if h.Within == 0 {
				h.Within = 5 * time.Second
			}
			c.run(t, &h)
		})
	}
}

var cases = []struct {
	name string
	run  func(*testing.T, *Harness)
}{
	{"an absent document is ErrNotFound", absent},
	{"Read returns the whole content and a revision that changes with it", read},
	{"a cancelled context ends Read", cancelled},
	{"Watch delivers the state, then each change, and ends with its context", watches},
	{"a change is seen, also the deletion of a key", change},
	{"the newest of many quick changes is seen", burst},
	{"a deleted document keeps the values and comes back", deleted},
	{"an optional document may be absent, appear and go", optional},
	{"a malformed document keeps the values and shows in Health", malformed},
	{"keys and values come through as they are", odd},
	{"two Configs follow one document", two},
	{"a backend that is away keeps the values, says since when, and recovers", away},
	{"idle costs next to nothing", idle},
}

func (h *Harness) set(doc string) {
	if h.Encode != nil {
		doc = h.Encode(doc)
	}
	h.Set(doc)
}

// open returns a Config of one source.
func (h *Harness) open(t *testing.T, opts ...config.SourceOption) config.Config {
	t.Helper()
	c, err := config.New(config.WithSource(h.Source(), append(opts, h.Options...)...), config.WithDebounce(time.Millisecond))
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// source returns an opened source, for the cases that speak to it directly.
func (h *Harness) source(t *testing.T) config.Source {
	t.Helper()
	s := h.Source()
	if o, ok := s.(config.Opener); ok {
		if err := o.Open(t.Context()); err != nil {
			t.Fatalf("Open: %v", err)
		}
	}
	t.Cleanup(func() {
		if c, ok := s.(config.Closer); ok {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
	return s
}

// Eventually polls ok until it holds or the time is over.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func absent(t *testing.T, h *Harness) {
	if h.Delete == nil {
		t.Skip("the document is always there")
	}
	s := h.source(t)
	if _, err := s.Read(t.Context()); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("Read of an absent document: got %v, want ErrNotFound", err)
	}
	c, err := config.New(config.WithSource(h.Source(), h.Options...))
	if !errors.Is(err, config.ErrNotFound) {
		t.Errorf("New with an absent document: got %v, want ErrNotFound", err)
	}
	if err == nil {
		c.Close()
	} else if !strings.Contains(err.Error(), s.Name()) {
		t.Errorf("the error %q doesn't name the source %q", err, s.Name())
	}
}

func read(t *testing.T, h *Harness) {
	h.set(`{"a":{"b":1}}`)
	s := h.source(t)
	one, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if one.Revision != again.Revision {
		t.Errorf("revision changed from %q to %q without a change", one.Revision, again.Revision)
	}
	h.set(`{"a":{"b":2}}`)
	var next config.Content
	Eventually(t, h.Within, "a new content", func() bool {
		next, err = s.Read(t.Context())
		return err == nil && fmt.Sprint(next) != fmt.Sprint(one)
	})
	if one.Revision != "" && next.Revision == one.Revision {
		t.Errorf("revision %q stayed over a change", one.Revision)
	}
}

func cancelled(t *testing.T, h *Harness) {
	h.set(`{"a":1}`)
	s := h.source(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	s.Read(ctx) // may succeed from memory
	if d := time.Since(start); d > h.Within {
		t.Errorf("Read took %v with a cancelled context", d)
	}
}

func watches(t *testing.T, h *Harness) {
	h.set(`{"a":1}`)
	w, ok := h.source(t).(config.Watcher)
	if !ok {
		t.Skip("the source is polled")
	}
	type event struct {
		c   config.Content
		err error
	}
	events := make(chan event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Watch(ctx, func(c config.Content, err error) { events <- event{c, err} })
	}()
	next := func(what string) event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case err := <-ended:
			t.Fatalf("Watch ended with %v before %s", err, what)
		case <-time.After(h.Within):
			t.Fatalf("nothing within %v: %s", h.Within, what)
		}
		return event{}
	}
	first := next("the state at first")
	if first.err != nil {
		t.Fatalf("first delivery: %v", first.err)
	}
	h.set(`{"a":2}`)
	for e := first; fmt.Sprint(e) == fmt.Sprint(first) || e.err != nil; { // files may be seen half-written
		e = next("a change")
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(h.Within):
		t.Fatalf("Watch went on for %v after its context ended", h.Within)
	}
}

func change(t *testing.T, h *Harness) {
	h.set(`{"keep":1,"a":{"b":"x","c":"y"}}`)
	c := h.open(t)
	if got := c.Get("a.b").String(""); got != "x" {
		t.Fatalf(`a.b: got %q, want "x"`, got)
	}
	h.set(`{"keep":1,"a":{"b":"z"}}`)
	Eventually(t, h.Within, "a.b is z and a.c is gone", func() bool {
		s := c.Snapshot()
		return s.Get("a.b").String("") == "z" && !s.Get("a.c").Exists()
	})
	if got := c.Get("keep").Int(0); got != 1 {
		t.Errorf("keep: got %d, want 1", got)
	}
	if o, ok := c.Snapshot().Origin("a.b"); !ok || o.Source == "" {
		t.Errorf("Origin of a.b: got %+v, %v, want the source", o, ok)
	}
}

func burst(t *testing.T, h *Harness) {
	h.set(`{"n":0}`)
	c := h.open(t)
	const last = 50
	for i := 1; i <= last; i++ {
		h.set(fmt.Sprintf(`{"n":%d}`, i))
	}
	Eventually(t, h.Within, "the last value", func() bool { return c.Get("n").Int(0) == last })
}

func deleted(t *testing.T, h *Harness) {
	if h.Delete == nil {
		t.Skip("the document is always there")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	h.Delete()
	Eventually(t, h.Within, "Health says not found", func() bool {
		hl := c.Health()
		return !hl.OK && errors.Is(hl.Sources[0].Err, config.ErrNotFound) && !hl.Sources[0].Since.IsZero()
	})
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n after the document was deleted: got %d, want 1", got)
	}
	h.set(`{"n":2}`)
	Eventually(t, h.Within, "the new document", func() bool { return c.Get("n").Int(0) == 2 && c.Health().OK })
}

func optional(t *testing.T, h *Harness) {
	if h.Delete == nil {
		t.Skip("the document is always there")
	}
	c := h.open(t, config.Optional())
	if c.Get("n").Exists() || !c.Health().OK {
		t.Fatalf("absent optional document: n %v, health %+v", c.Get("n"), c.Health())
	}
	h.set(`{"n":1}`)
	Eventually(t, h.Within, "the document appears", func() bool { return c.Get("n").Int(0) == 1 })
	h.Delete()
	Eventually(t, h.Within, "the document goes", func() bool { return !c.Get("n").Exists() && c.Health().OK })
}

func malformed(t *testing.T, h *Harness) {
	if h.Lenient {
		t.Skip("the backend holds well-formed documents only")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	h.Set("{[%")
	Eventually(t, h.Within, "Health says invalid", func() bool {
		hl := c.Health()
		return !hl.OK && errors.Is(hl.Sources[0].Err, config.ErrInvalid)
	})
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n with a malformed document: got %d, want 1", got)
	}
	h.set(`{"n":2}`)
	Eventually(t, h.Within, "the repaired document", func() bool { return c.Get("n").Int(0) == 2 && c.Health().OK })
}

func odd(t *testing.T, h *Harness) {
	long := strings.Repeat("x", 100_000)
	h.set(fmt.Sprintf(`{"Case":1,"case":2,"dot.ted":{"ключ":"値 \n \"q\" \\"},"a":[1,"two",{"three":3}],"e":"","long":%q,"big":9007199254740993,"f":1.5e3,"t":true}`, long))
	c := h.open(t)
	for _, x := range []struct{ path, want string }{
		{"Case", "1"}, {"case", "2"}, {config.Path("dot.ted", "ключ"), `"値 \n \"q\" \\"`}, {"a.2.three", "3"},
		{"a", `[1,"two",{"three":3}]`}, {"e", `""`}, {"big", "9007199254740993"}, {"t", "true"},
	} {
		if got := string(c.Get(x.path).Bytes()); got != x.want {
			t.Errorf("%s: got %s, want %s", x.path, got, x.want)
		}
	}
	if got := c.Get("long").String(""); got != long {
		t.Errorf("long: got %d bytes, want %d", len(got), len(long))
	}
	if got := c.Get("f").Float64(0); got != 1500 {
		t.Errorf("f: got %v, want 1500", got)
	}
}

func two(t *testing.T, h *Harness) {
	h.set(`{"n":1}`)
	a, b := h.open(t), h.open(t)
	h.set(`{"n":2}`)
	for _, c := range []config.Config{a, b} {
		Eventually(t, h.Within, "both see the change", func() bool { return c.Get("n").Int(0) == 2 })
	}
	if a.Snapshot().Hash() != b.Snapshot().Hash() {
		t.Errorf("hashes differ: %s and %s", a.Snapshot().Hash(), b.Snapshot().Hash())
	}
}

func away(t *testing.T, h *Harness) {
	if h.Down == nil {
		t.Skip("the backend can't be away")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	before := time.Now()
	h.Down()
	Eventually(t, 20*time.Second, "Health says that the source is away", func() bool { return c.Health().Sources[0].Err != nil })
	if s := c.Health().Sources[0]; s.Since.Before(before.Add(-time.Second)) || s.Since.After(time.Now()) {
		t.Errorf("Since: got %v, want between %v and now", s.Since, before)
	}
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n with the backend away: got %d, want 1", got)
	}
	if x, err := config.New(config.WithSource(h.Source()), config.WithTimeout(time.Second)); err == nil {
		x.Close()
		t.Error("New succeeded with the backend away")
	} else if !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("New with the backend away: got %v, want ErrUnavailable", err)
	}
	h.Up()
	Eventually(t, 30*time.Second, "the source recovers", func() bool { return c.Health().OK })
	h.set(`{"n":2}`)
	Eventually(t, 10*time.Second, "a change after the recovery", func() bool { return c.Get("n").Int(0) == 2 })
}

func idle(t *testing.T, h *Harness) {
	if h.Requests == nil {
		t.Skip("nobody counts requests")
	}
	h.set(`{"n":1}`)
	c := h.open(t)
	h.set(`{"n":2}`)
	Eventually(t, h.Within, "a change", func() bool { return c.Get("n").Int(0) == 2 })
	before := h.Requests()
	timer := time.NewTimer(h.Idle)
	defer timer.Stop()
	<-timer.C
	if got := h.Requests() - before; got > h.IdleRequests {
		t.Errorf("%d requests in %v without a change, want at most %d", got, h.Idle, h.IdleRequests)
	}
}
