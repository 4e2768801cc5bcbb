package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/watch"
)

// layer is a source and what it said last.
type layer struct {
	src      Source
	optional bool
	poll     time.Duration
	timeout  time.Duration

	reading chan struct{} // held by who reads: one at a time

	mu       sync.Mutex
	have     bool    // parts are from the source or the last-known-good file
	parts    []*tree // merged in order with those of the other layers
	sum      [32]byte
	revision string
	lastGood time.Time
	err      error // why newer content can't be had
	since    time.Time
	restored time.Time // when the content was saved, if it is the last-known-good one
	takes    uint64    // how often take was called
	told     error     // the err that the log knows of
	reads    uint64    // how many Reads were taken
	heard    uint64    // that of them up to which the watch has caught up
}

// read asks the source, within its timeout. An answer that was overtaken by
// one of the source's watch is asked for again.
func (l *layer) read(ctx context.Context) (changed bool, err error) {
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	for try := 0; ; try++ {
		l.mu.Lock()
		before := l.takes
		l.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, l.timeout)
		var content Content
		err := fault.Guard(func() (err error) { content, err = l.src.Read(limited); return err })
		late := limited.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err != nil && ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil && late:
			err = fault.Mark(ErrUnavailable, fmt.Errorf("no answer within %v: %w", l.timeout, err))
		}
		changed, ok := l.take(content, err, func() bool {
			if l.takes != before {
				return false
			}
			l.reads++
			return true
		})
		if ok || try == 10 {
			return changed, l.problem()
		}
	}
}

// hear files what the watch delivers. If it differs from what a Read has found
// since the watch last caught up, either may be the newer one: the source is
// asked again, so that values never go back. Doubt is why it gave no answer; what
// was known then stays.
func (l *layer) hear(ctx context.Context, c Content, err error) (changed bool, doubt error) {
	sum := fingerprint(c)
	changed, ok := l.take(c, err, func() bool {
		return l.reads == l.heard || err == nil && l.holds(c.Revision, sum)
	})
	if !ok {
		var readErr error
		changed, readErr = l.read(ctx)
		if err == nil {
			doubt = readErr
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.holds(c.Revision, sum) {
		l.heard = l.reads
	}
	return changed, doubt
}

// catchUp notes that the watch is about to deliver what is there now, which is not
// older than what was read.
func (l *layer) catchUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = l.reads
}

// holds reports whether the layer's content is that; l.mu is held.
func (l *layer) holds(revision string, sum [32]byte) bool {
	return l.have && l.err == nil && l.restored.IsZero() && revision == l.revision && sum == l.sum
}

// take files what the source said, unless allow, called with l.mu held, says
// no.
func (l *layer) take(c Content, err error, allow func() bool) (changed, ok bool) {
	var parts []*tree
	var sum [32]byte
	if err == nil {
		sum = fingerprint(c)
		l.mu.Lock()
		known := l.holds(c.Revision, sum)
		parts = l.parts
		l.mu.Unlock()
		if !known {
			parts, err = l.parse(c)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if allow != nil && !allow() {
		return false, false
	}
	l.takes++
	now := time.Now()
	if err != nil && l.optional && errors.Is(err, fault.NotFound) {
		c, parts, sum, err = Content{}, nil, [32]byte{}, nil
	}
	if err != nil {
		if l.err == nil {
			l.since = now
		}
		l.err = err
		return false, true
	}
	changed = !l.have || !slices.EqualFunc(parts, l.parts, same) || !l.restored.IsZero() || c.Revision != l.revision
	l.have, l.parts, l.sum, l.revision, l.lastGood = true, parts, sum, c.Revision, now
	l.err, l.since, l.restored = nil, time.Time{}, time.Time{}
	return changed, true
}

func (l *layer) problem() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// parse reads the parts of a content.
func (l *layer) parse(c Content) ([]*tree, error) {
	var parts []*tree
	for _, p := range c.Parts {
		n, err := parsePart(p)
		if err == nil && n == nil {
			if l.optional {
				continue
			}
			err = &SyntaxError{Problem: "empty document"}
		}
		if err == nil && n.Kind != Object {
			err = &SyntaxError{Line: n.Line, Column: n.Column, Problem: "the document is of type " + n.Kind.String() + ", want object"}
		}
		var t *tree
		if err == nil {
			t, err = seal(n, &provenance{source: l.src.Name(), part: p.Name, revision: c.Revision})
		}
		if err == nil && p.Secret {
			t.conceal()
		}
		if err != nil {
			if p.Secret {
				err = discreet(err)
			}
			if p.Name != "" {
				err = fmt.Errorf("%s: %w", p.Name, err)
			}
			return nil, err
		}
		parts = append(parts, t)
	}
	if len(parts) == 0 && !l.optional {
		return nil, fault.Markf(ErrNotFound, "no document")
	}
	return parts, nil
}

// discreet is the error of a part whose text may not be shown: parsers quote it.
func discreet(err error) error {
	if errors.Is(err, fault.TooLarge) {
		return err
	}
	where := &SyntaxError{}
	_ = errors.As(err, &where)
	return &SyntaxError{Line: where.Line, Column: where.Column, Problem: "malformed; why is not shown, since it is secret"}
}

// parsePart returns the document of a part, nil if there is none.
func parsePart(p Part) (*Node, error) {
	if p.Root != nil {
		return p.Root, nil
	}
	if len(p.Data) > MaxSize {
		return nil, fault.Markf(ErrTooLarge, "more than %d bytes", MaxSize)
	}
	if len(bytes.TrimSpace(p.Data)) == 0 {
		return nil, nil
	}
	f := p.Format
	if f == nil {
		f = JSON{}
	}
	var n *Node
	err := fault.Guard(func() (err error) { n, err = f.Parse(p.Data); return err })
	if err != nil && !errors.Is(err, fault.Invalid) {
		err = fault.Mark(ErrInvalid, err)
	}
	return n, err
}

// fingerprint of a content's bytes. Parts without bytes count by identity, so
// that a content with such parts is new unless it is the very same.
func fingerprint(c Content) (sum [32]byte) {
	h := sha256.New()
	for _, p := range c.Parts {
		fmt.Fprintf(h, "%d:%s%d:%p", len(p.Name), p.Name, len(p.Data), p.Root)
		h.Write(p.Data)
	}
	h.Sum(sum[:0])
	return sum
}

// follow keeps the layer up to date until ctx ends. heard is called after
// everything that the source said or failed to say. A watch is begun again when it
// can't be known whether what it delivered is older than what was read.
func (l *layer) follow(ctx context.Context, heard func(changed bool)) {
	w, ok := l.src.(Watcher)
	if !ok {
		l.pollEvery(ctx, heard)
		return
	}
	fail := func(err error) {
		l.take(Content{}, err, nil)
		heard(false)
	}
	var doubt error // that ended the watch before this one
	watch.Follow(ctx, watch.Options{OnError: fail}, func(ctx context.Context, _ bool, progress func(bool)) error {
		watching, end := context.WithCancel(ctx)
		defer end()
		if doubt != nil {
			l.catchUp()
			doubt = nil
		}
		err := w.Watch(watching, func(c Content, err error) {
			if doubt != nil {
				return // it has been told to end
			}
			progress(true)
			var changed bool
			changed, doubt = l.hear(ctx, c, err)
			if doubt != nil {
				end()
			}
			heard(changed)
		})
		switch {
		case doubt != nil:
			return doubt
		case err == nil && ctx.Err() == nil:
			return fault.Markf(ErrUnavailable, "watch ended")
		}
		return err
	})
}

func (l *layer) pollEvery(ctx context.Context, heard func(changed bool)) {
	failures := 0
	for {
		wait := backoff.Policy{Min: l.poll - l.poll/10, Max: l.poll}.Wait(32)
		if failures > 0 { // look again sooner
			wait = backoff.Policy{Min: min(time.Second, l.poll), Max: l.poll}.Wait(failures)
		}
		if backoff.Sleep(ctx, wait) != nil {
			return
		}
		changed, err := l.read(ctx)
		if ctx.Err() != nil {
			return
		}
		failures++
		if err == nil {
			failures = 0
		}
		heard(changed)
	}
}

func (l *layer) health() SourceHealth {
	l.mu.Lock()
	defer l.mu.Unlock()
	return SourceHealth{
		Name: l.src.Name(), Optional: l.optional, Restored: !l.restored.IsZero(), Revision: l.revision,
		LastGood: l.lastGood, Err: fault.Adopt("config", l.err), Since: l.since,
	}
}
