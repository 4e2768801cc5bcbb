package trace

import "time"

// SpanOption describes a span at its start.
type SpanOption struct {
	apply func(*spanOptions)
}

type spanOptions struct {
	kind   Kind
	start  time.Time
	root   bool
	parent SpanContext
	remote Endpoint
	links  []Link
}

// OfKind sets the kind; without it a span is Internal.
func OfKind(k Kind) SpanOption {
	return SpanOption{func(o *spanOptions) { o.kind = k }}
}

// StartAt starts the span at t instead of now.
func StartAt(t time.Time) SpanOption {
	return SpanOption{func(o *spanOptions) { o.start = t }}
}

// Root begins a new trace, whatever the context carries.
func Root() SpanOption {
	return SpanOption{func(o *spanOptions) { o.root = true }}
}

// ChildOf continues the trace of sc, whatever the context carries.
func ChildOf(sc SpanContext) SpanOption {
	return SpanOption{func(o *spanOptions) { o.parent = sc }}
}

// Remote names the other side, as Span.SetRemote does.
func Remote(e Endpoint) SpanOption {
	return SpanOption{func(o *spanOptions) { o.remote = e }}
}

// LinkTo links to sc, as Span.Link does. Samplers see links that are given here.
func LinkTo(sc SpanContext, tags ...Tag) SpanOption {
	return SpanOption{func(o *spanOptions) { o.links = append(o.links, Link{Context: sc, Tags: tags}) }}
}

// StartOptions are the options of a span, for implementations of Tracer.
type StartOptions struct {
	Kind   Kind
	Start  time.Time   // zero: now
	Root   bool        // begin a new trace
	Parent SpanContext // valid: continue this one
	Remote Endpoint
	Links  []Link
}

// SpanOptions collects options, for implementations of Tracer.
func SpanOptions(opts ...SpanOption) StartOptions {
	var o spanOptions
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(&o)
		}
	}
	return StartOptions{Kind: o.kind, Start: o.start, Root: o.root, Parent: o.parent, Remote: o.remote, Links: o.links}
}
