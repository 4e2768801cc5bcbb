package trace

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/trace/baggage"
)

// node is what a span of this process is in any case: its own context, so that
// to start a span is one allocation.
type node struct {
	ctx   context.Context
	sc    SpanContext
	state atomic.Uint32 // of text, see traceparent
	text  string        // the ids as W3C writes them, once somebody asked
}

// States of a node's text.
const (
	unwritten = iota
	beingWritten
	written
)

func (n *node) Context() SpanContext        { return n.sc }
func (n *node) Deadline() (time.Time, bool) { return n.ctx.Deadline() }
func (n *node) Done() <-chan struct{}       { return n.ctx.Done() }
func (n *node) Err() error                  { return n.ctx.Err() }

func (n *node) SampledIDs() (trace [16]byte, span [8]byte, ok bool) { return n.sc.sampledIDs() }

// traceparent is the span's context as W3C writes it. It is made once, for the
// headers of what is sent and for all log records: whoever asks while another
// makes it has a copy.
func (n *node) traceparent() string {
	if n.state.Load() == written {
		return n.text
	}
	text := traceparent(n.sc)
	if n.state.CompareAndSwap(unwritten, beingWritten) {
		n.text = text
		n.state.Store(written)
	}
	return text
}

// ids are both ids in hexadecimal digits.
func (n *node) ids() (trace, span string) {
	text := n.traceparent()
	return text[3:35], text[36:52]
}

// quiet is a span that is not recorded: ids and flags, no clock read.
type quiet struct {
	node
	idle
}

func (q *quiet) Context() SpanContext { return q.sc }

func (q *quiet) Value(key any) any {
	if key == any(contextKey{}) {
		return q
	}
	return q.ctx.Value(key)
}

// fewTags is how many tags a span holds without a further allocation.
const fewTags = 12

// span is a span that is recorded.
type span struct {
	node
	tracer  *tracer
	local   *localTrace // not nil if the sampler left it out and WithKeep may bring it back
	start   time.Time
	kind    Kind
	inbound bool // the parent is remote

	mu      sync.Mutex
	ended   bool
	name    string
	remote  Endpoint
	err     string
	tags    []Tag // of few, until they are more
	events  []Event
	links   []Link
	dropped int
	took    time.Duration
	few     [fewTags]Tag
}

func (s *span) Value(key any) any {
	if key == any(contextKey{}) {
		return s
	}
	return s.ctx.Value(key)
}

func (s *span) Recording() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended
}

func (s *span) SetName(name string) {
	s.mu.Lock()
	if !s.ended {
		s.name = name
	}
	s.mu.Unlock()
}

func (s *span) SetRemote(e Endpoint) {
	s.mu.Lock()
	if !s.ended {
		s.remote = e
	}
	s.mu.Unlock()
}

func (s *span) Tag(key, value string) {
	s.set(key, slog.StringValue(s.cut(value)))
}
func (s *span) TagInt(key string, value int64)     { s.set(key, slog.Int64Value(value)) }
func (s *span) TagFloat(key string, value float64) { s.set(key, slog.Float64Value(value)) }
func (s *span) TagBool(key string, value bool)     { s.set(key, slog.BoolValue(value)) }

// named tags the span with members of its context's baggage.
func (s *span) named(names []string) {
	b := baggage.FromContext(s.ctx)
	if b.Len() == 0 {
		return
	}
	for _, name := range names {
		if m, ok := b.Get(name); ok {
			s.Tag(name, m.Value)
		}
	}
}

func (s *span) set(key string, v slog.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	for i := range s.tags {
		if s.tags[i].Key == key {
			s.tags[i].Value = v
			return
		}
	}
	if len(s.tags) >= s.tracer.limits.Tags {
		s.dropped++
		return
	}
	s.tags = append(s.tags, Tag{Key: key, Value: v})
}

// cut shortens a string to the limit without splitting a character.
func (s *span) cut(v string) string {
	n := s.tracer.limits.ValueBytes
	if len(v) <= n {
		return v
	}
	for n > 0 && !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n]
}

func (s *span) Event(name string, tags ...Tag) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case len(s.events) >= s.tracer.limits.Events:
		s.dropped++
	default:
		s.events = append(s.events, Event{Name: s.cut(name), Time: now, Tags: s.own(tags)})
	}
}

func (s *span) Link(sc SpanContext, tags ...Tag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended || !sc.IsValid():
	case len(s.links) >= s.tracer.limits.Links:
		s.dropped++
	default:
		s.links = append(s.links, Link{Context: sc, Tags: s.own(tags)})
	}
}

// own copies a caller's tags: its slice is the caller's to reuse.
func (s *span) own(tags []Tag) []Tag {
	if len(tags) == 0 {
		return nil
	}
	if n := s.tracer.limits.Tags; len(tags) > n {
		s.dropped += len(tags) - n
		tags = tags[:n]
	}
	return slices.Clone(tags)
}

func (s *span) Error(err error) {
	if err == nil {
		return
	}
	text := cmp.Or(s.cut(err.Error()), "error")
	s.mu.Lock()
	if !s.ended && s.err == "" {
		s.err = text
	}
	s.mu.Unlock()
}

func (s *span) End()              { s.end(time.Since(s.start)) }
func (s *span) EndAt(t time.Time) { s.end(t.Sub(s.start)) }

func (s *span) end(took time.Duration) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	s.took = max(0, took)
	s.mu.Unlock() // from here on nobody writes to s
	s.tracer.finish(s)
}

// data is the span as reporters see it. It shares s's slices.
func (s *span) data() SpanData {
	return SpanData{
		Context: s.sc, Inbound: s.inbound, Name: s.name, Kind: s.kind, Start: s.start, Duration: s.took,
		Local: s.tracer.local, Remote: s.remote, Tags: s.tags, Events: s.events, Links: s.links, Err: s.err, Dropped: s.dropped,
	}
}

// size is about how many bytes the span takes in a queue.
func (s *span) size() int {
	n := 400 + len(s.name) + len(s.err) + len(s.sc.State) + tagBytes(s.tags)
	for i := range s.events {
		n += 64 + len(s.events[i].Name) + tagBytes(s.events[i].Tags)
	}
	for i := range s.links {
		n += 80 + tagBytes(s.links[i].Tags)
	}
	return n
}

func tagBytes(tags []Tag) int {
	n := 0
	for i := range tags {
		n += 40 + len(tags[i].Key)
		if v := &tags[i].Value; v.Kind() == slog.KindString {
			n += len(v.String())
		}
	}
	return n
}
