package trace

import (
	"context"
	"log/slog"
	"time"
)

// A Tracer starts spans, carries their contexts over process borders and sends
// what was sampled to its reporters. All methods are safe for concurrent use.
type Tracer interface {
	// Start starts a span. Its parent is the span, or the remote context that
	// Extract left, in ctx; without one it begins a new trace. The returned
	// context carries the span. It costs one allocation; keep a fixed
	// []SpanOption in a variable if options are to cost none.
	Start(ctx context.Context, name string, opts ...SpanOption) (context.Context, Span)
	// Extract reads a caller's trace context from c. Headers that are absent
	// leave ctx as it is; headers that are wrong do too, and are counted in
	// Stats.BadContext. It never fails.
	Extract(ctx context.Context, c Carrier) context.Context
	// Inject writes the trace context of ctx into c. Without one it writes nothing.
	Inject(ctx context.Context, c Carrier)
	// Search asks the first reporter that can be searched (the memory store,
	// Zipkin's server) for traces, newest first. ErrUnsupported if none can.
	Search(ctx context.Context, q Query) (Page, error)
	Stats() Stats
	// Flush returns when every span that ended before the call was sent or
	// counted as lost, or when ctx ends, with an error that says how many
	// were lost since the last Flush.
	Flush(ctx context.Context) error
	// Close flushes, then releases the reporters. It is bounded by ctx and
	// returns an error that says how many spans were lost since the last
	// Flush. A span that ends afterwards is counted and dropped.
	Close(ctx context.Context) error
}

// A Span is one timed operation of a trace. All methods are safe for concurrent
// use. On a span that doesn't record, and after End, all of them but Context do
// nothing.
type Span interface {
	Context() SpanContext
	// Recording reports whether what is set here can be seen by anyone, so
	// that the caller may spare itself the work.
	Recording() bool
	SetName(name string)
	Tag(key, value string)
	TagInt(key string, value int64)
	TagFloat(key string, value float64)
	TagBool(key string, value bool)
	// SetRemote names the other side of a client, server, producer or consumer span.
	SetRemote(e Endpoint)
	// Link points to a span of another trace, or of this one, that isn't the parent.
	Link(sc SpanContext, tags ...Tag)
	// Event notes that something happened now.
	Event(name string, tags ...Tag)
	// Error marks the span as failed. A nil err does nothing; the first error stays.
	Error(err error)
	// End ends the span now. The first End counts.
	End()
	// EndAt ends the span at t. A t before its start ends it at its start.
	EndAt(t time.Time)
}

// A Tag is a key and a typed value; slog's constructors build one without
// allocation.
type Tag = slog.Attr

// A Carrier holds headers. http.Header fits through HTTP, a map through Map.
// Keys are given in the form that their specification writes; a carrier
// compares them without regard to case.
type Carrier interface {
	Get(key string) string      // the first value, "" if there is none
	Values(key string) []string // all of them: a header may be repeated, tracestate may be split
	Set(key, value string)
}

// Kind is the role of a span in a call.
type Kind uint8

// The kinds.
const (
	Internal Kind = iota // work inside one process
	Server               // the handling of a request
	Client               // a request to another process
	Producer             // the publishing of a message
	Consumer             // the handling of a message
)

// Endpoint is one side of a call. Empty fields are unknown.
type Endpoint struct {
	Service string
	Address string // "host:port" or "host"; an IP address where it is known
}

// SpanData is a span that has ended, as reporters and searches see it. It must
// not be changed: reporters share its slices.
type SpanData struct {
	Context  SpanContext
	Shared   bool // Context.SpanID is the caller's own, as in B3's joins: of another program's spans
	Inbound  bool // the parent is a span of another process
	Name     string
	Kind     Kind
	Start    time.Time
	Duration time.Duration // never negative
	Local    Endpoint
	Remote   Endpoint
	Tags     []Tag // in the order in which they were set; an equal key was replaced
	Events   []Event
	Links    []Link
	Err      string // the message of the error, "" for none
	Dropped  int    // tags, events and links over the span's limits
}

// Event is a moment within a span.
type Event struct {
	Name string
	Time time.Time
	Tags []Tag
}

// Link is a pointer from one span to another.
type Link struct {
	Context SpanContext
	Tags    []Tag
}

// Query selects traces. The zero Query selects all. A trace is selected if one
// of its spans meets all of Service, Name, the durations, Errors and Tags.
type Query struct {
	TraceID     TraceID // exactly this trace
	Service     string
	Name        string
	MinDuration time.Duration
	MaxDuration time.Duration // 0 means any
	Errors      bool          // only spans that failed
	Tags        map[string]string
	Since       time.Time // spans that started at Since or later
	Until       time.Time // and before Until
	Limit       int       // traces a page; 0 means 20
	After       string    // Page.Next of the page before
}

// Page is one page of traces, the most recently started first.
type Page struct {
	Traces []Trace
	Next   string // for Query.After; "" on the last page
}

// Trace is the known spans of one trace, earliest first.
type Trace struct {
	ID    TraceID
	Spans []SpanData
}

// Stats counts since New. A span is in exactly one of Unsampled, the
// reporters' counts, or DroppedClosed once it has ended.
type Stats struct {
	Started       uint64 // spans
	Sampled       uint64 // of which recorded and meant for the reporters
	Kept          uint64 // unsampled ones that KeepIf brought back
	BadContext    uint64 // Extract calls that met headers they had to refuse
	DroppedClosed uint64 // ended after Close
	Reporters     []ReporterStats
}

// ReporterStats counts what one reporter was given.
type ReporterStats struct {
	Reporter    string
	Queued      int    // spans that wait or are being sent, now
	QueuedBytes int    // about how large they are
	Sent        uint64 // spans that the backend took
	Batches     uint64
	Retries     uint64
	Dropped     uint64 // spans that found the queue full, or came while the tracer closed
	Rejected    uint64 // spans that the backend refused
	Failed      uint64 // spans given up on after retries, or at Close
	LastError   string
}

// Lost is the number of spans that did not reach the backend.
func (s ReporterStats) Lost() uint64 { return s.Dropped + s.Rejected + s.Failed }
