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
	// the backend can't be made unavailable.
	Down, Up func()
	// Requests counts what the backend was asked so far; nil if nobody counts.
	Requests func() int
	// IdleRequests is how many requests are allowed while Idle passes without a
	// change.
	IdleRequests int
	Idle         time.Duration
	// Within is how soon a change must be seen; 0 means 30 s.
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
				h.Within = 30 * time.Second
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
	{"a backend that is unavailable keeps the values, says since when, and recovers", away},
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
