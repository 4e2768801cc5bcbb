package engine

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Set holds the engines of a program that picks them by URLs: equal URLs share
// one. The zero Set is empty and ready. It is safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	opened []opened // in this order
	closed bool
}

type opened struct {
	key    string
	engine io.Closer
}

// Options returns the option that makes New of a package use the backend that the
// scheme of url names, on an engine of the set:
//
//	var engines engine.Set
//	defer engines.Close()
//	opts, err := engine.Options(&engines, url, kvredis.URL, kvetcd.URL, kvsql.URL)
//	store, err := kv.New(opts...)
//
// Each package of backends has such a function, called URL. An empty url and
// "memory:" stand for the embedded default, of which there is no option. Another
// scheme, and what the backend refuses of its URL, are ErrInvalid. Nothing is
// connected to.
func Options[O any](s *Set, url string, backends ...func(*Choice) O) ([]O, error) {
	if s == nil {
		return nil, fault.New(ErrInvalid, "engine", "options", "", "nil set")
	}
	c := &Choice{set: s, url: url}
	scheme, _, ok := strings.Cut(url, ":")
	if ok {
		c.scheme = strings.ToLower(scheme)
	}
	if url == "" || c.Takes("memory") {
		return nil, nil
	}
	for i, backend := range backends {
		if backend == nil {
			return nil, fault.New(ErrInvalid, "engine", "options", "", "backend %d is nil", i)
		}
		option := backend(c)
		switch {
		case c.err != nil:
			return nil, fault.Wrap("engine", "options", "", c.err)
		case c.taken:
			return []O{option}, nil
		}
	}
	return nil, fault.New(ErrInvalid, "engine", "options", "", "address %q, want a URL with a scheme of %s", conn.Redact(url), strings.Join(c.known, ", "))
}

// Scheme is a backend for Options that has no URL function: open is given a URL
// that has one of the schemes.
func Scheme[O any](open func(url string) O, schemes ...string) func(*Choice) O {
	return func(c *Choice) (option O) {
		if c.Takes(schemes...) {
			option = open(c.URL())
		}
		return option
	}
}

// Choice is a URL that backends are asked about, one after another.
type Choice struct {
	set    *Set
	url    string
	scheme string
	known  []string // schemes that were asked for
	taken  bool
	err    error
}

// Takes reports whether the URL has one of the schemes. It is how a backend
// without an engine takes it.
func (c *Choice) Takes(schemes ...string) bool {
	for _, s := range schemes {
		if !slices.Contains(c.known, s) {
			c.known = append(c.known, s)
		}
	}
	c.taken = slices.Contains(schemes, c.scheme)
	return c.taken
}

// URL returns the URL as it was given.
func (c *Choice) URL() string { return c.url }

// Take returns the engine of c's URL if that has one of the schemes. open opens it
// if the set has none of the same URL. Packages of engines call it.
func Take[E io.Closer](c *Choice, open func(addr string) (E, error), schemes ...string) (e E, ok bool) {
	if !c.Takes(schemes...) {
		return e, false
	}
	key := schemes[0] + " " + c.url
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.set.closed {
		c.err = fault.Markf(ErrClosed, "the set of engines was closed")
		return e, false
	}
	for _, o := range c.set.opened {
		if shared, ok := o.engine.(E); ok && o.key == key {
			return shared, true
		}
	}
	e, c.err = open(c.url)
	if c.err != nil {
		return e, false
	}
	c.set.opened = append(c.set.opened, opened{key, e})
	return e, true
}

// Close closes the engines, the newest first. Close what stands on them before. It
// may be called again.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, o := range slices.Backward(s.opened) {
		errs = append(errs, o.engine.Close())
	}
	s.opened = nil
	return errors.Join(errs...)
}
