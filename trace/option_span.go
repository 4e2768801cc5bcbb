package trace

import "time"

// SpanOption describes a span at its start.
type SpanOption struct {
	apply func(*StartOptions)
}

// OfKind sets the kind; without it a span is Internal.
func OfKind(k Kind) SpanOption {
	return SpanOption{func(o *StartOptions) { o.Kind = k }}
}

// StartAt starts the span at t instead of now.
func StartAt(t time.Time) SpanOption {
	return SpanOption{func(o *StartOptions) { o.Start = t }}
}

// Root begins a new trace, whatever the context carries.
func Root() SpanOption {
	return SpanOption{func(o *StartOptions) { o.Root = true }}
}

// ChildOf continues the trace of sc, whatever the context carries.
func ChildOf(sc SpanContext) SpanOption {
	return SpanOption{func(o *StartOptions) { o.Parent = sc }}
}

// Remote names the other side, as Span.SetRemote does.
func Remote(e Endpoint) SpanOption {
	return SpanOption{func(o *StartOptions) { o.Remote = e }}
}

// LinkTo links to sc, as Span.Link does. Samplers see links that are given here.
func LinkTo(sc SpanContext, tags ...Tag) SpanOption {
	return SpanOption{func(o *StartOptions) { o.Links = append(o.Links, Link{Context: sc, Tags: tags}) }}
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
	var o StartOptions
	o.apply(opts)
	return o
}

func (o *StartOptions) apply(opts []SpanOption) {
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(o)
		}
	}
}
