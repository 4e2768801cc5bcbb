package otlp

import (
	"encoding/base64"
	"log/slog"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/micro/go-platform/trace"
)

// The messages of opentelemetry-proto in their JSON form: names in
// lowerCamelCase, 64-bit integers as strings, enums as numbers, ids in hex.
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes,omitempty"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name string `json:"name"`
	}
	span struct {
		TraceID           string      `json:"traceId"`
		SpanID            string      `json:"spanId"`
		ParentSpanID      string      `json:"parentSpanId,omitempty"`
		TraceState        string      `json:"traceState,omitempty"`
		Flags             uint32      `json:"flags,omitempty"`
		Name              string      `json:"name"`
		Kind              int         `json:"kind"`
		StartTimeUnixNano string      `json:"startTimeUnixNano"`
		EndTimeUnixNano   string      `json:"endTimeUnixNano"`
		Attributes        []attribute `json:"attributes,omitempty"`
		DroppedAttributes int         `json:"droppedAttributesCount,omitempty"`
		Events            []event     `json:"events,omitempty"`
		Links             []link      `json:"links,omitempty"`
		Status            *status     `json:"status,omitempty"`
	}
	event struct {
		TimeUnixNano string      `json:"timeUnixNano"`
		Name         string      `json:"name"`
		Attributes   []attribute `json:"attributes,omitempty"`
	}
	link struct {
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		TraceState string      `json:"traceState,omitempty"`
		Attributes []attribute `json:"attributes,omitempty"`
		Flags      uint32      `json:"flags,omitempty"`
	}
	status struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code"`
	}
	attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		StringValue *string     `json:"stringValue,omitempty"`
		IntValue    *string     `json:"intValue,omitempty"`
		DoubleValue any         `json:"doubleValue,omitempty"`
		BoolValue   *bool       `json:"boolValue,omitempty"`
		BytesValue  *string     `json:"bytesValue,omitempty"`
		Fields      *fieldsList `json:"kvlistValue,omitempty"`
	}
	fieldsList struct {
		Values []attribute `json:"values"`
	}
)

// scopeName says which library made the spans.
const scopeName = "github.com/micro/go-platform/trace"

// kinds in the protocol's numbers.
var kinds = [...]int{trace.Internal: 1, trace.Server: 2, trace.Client: 3, trace.Producer: 4, trace.Consumer: 5}

const statusError = 2

// The bits of flags above those of W3C say whether the parent of a span, or the
// span of a link, is of another process (SpanFlags in opentelemetry-proto).
const (
	hasIsRemote = 1 << 8
	isRemote    = 1 << 9
)

func flags(w3c trace.Flags, remote bool) uint32 {
	f := uint32(w3c&(trace.Sampled|trace.Random)) | hasIsRemote
	if remote {
		f |= isRemote
	}
	return f
}

// request groups the spans by the process that they are of.
func (d *driver) request(spans []trace.SpanData) request {
	var r request
	at := map[trace.Endpoint]int{}
	for i := range spans {
		s := &spans[i]
		n, ok := at[s.Local]
		if !ok {
			n = len(r.ResourceSpans)
			at[s.Local] = n
			attrs := []attribute{text("service.name", s.Local.Service)}
			if s.Local.Service == "" {
				attrs[0] = text("service.name", "unknown_service")
			}
			attrs = append(attrs, address("host.address", "", s.Local.Address)...)
			r.ResourceSpans = append(r.ResourceSpans, resourceSpans{
				Resource:   resource{append(attrs, d.resource...)},
				ScopeSpans: []scopeSpans{{Scope: scope{scopeName}}},
			})
		}
		into := &r.ResourceSpans[n].ScopeSpans[0]
		into.Spans = append(into.Spans, toSpan(s))
	}
	return r
}

func toSpan(s *trace.SpanData) span {
	out := span{
		TraceID: s.Context.TraceID.String(), SpanID: s.Context.SpanID.String(), TraceState: s.Context.State,
		Flags: flags(s.Context.Flags, s.Inbound),
		Name:  s.Name, Kind: kinds[s.Kind], StartTimeUnixNano: nano(s.Start), EndTimeUnixNano: nano(s.Start.Add(s.Duration)),
		Attributes: toAttributes(s.Tags), DroppedAttributes: s.Dropped,
	}
	if !s.Context.ParentID.IsZero() {
		out.ParentSpanID = s.Context.ParentID.String()
	}
	if s.Remote.Service != "" {
		out.Attributes = append(out.Attributes, text("peer.service", s.Remote.Service))
	}
	out.Attributes = append(out.Attributes, address("network.peer.address", "network.peer.port", s.Remote.Address)...)
	for _, e := range s.Events {
		out.Events = append(out.Events, event{nano(e.Time), e.Name, toAttributes(e.Tags)})
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, link{l.Context.TraceID.String(), l.Context.SpanID.String(), l.Context.State, toAttributes(l.Tags), flags(l.Context.Flags, l.Context.Remote)})
	}
	if s.Err != "" {
		out.Status = &status{s.Err, statusError}
	}
	return out
}

func nano(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func text(key, s string) attribute { return attribute{key, value{StringValue: &s}} }

func integer(key string, n int64) attribute {
	s := strconv.FormatInt(n, 10)
	return attribute{key, value{IntValue: &s}}
}

// address is "host:port" in two attributes; without a key for the port it is one.
func address(key, portKey, addr string) []attribute {
	host, port, err := net.SplitHostPort(addr)
	n, _ := strconv.ParseInt(port, 10, 32)
	switch {
	case addr == "":
		return nil
	case err != nil || portKey == "":
		return []attribute{text(key, addr)}
	}
	return []attribute{text(key, host), integer(portKey, n)}
}

func toAttributes(tags []slog.Attr) []attribute {
	if len(tags) == 0 {
		return nil
	}
	out := make([]attribute, 0, len(tags)+3)
	for _, t := range tags {
		out = append(out, toAttribute(t.Key, t.Value.Resolve()))
	}
	return out
}

func toAttribute(key string, v slog.Value) attribute {
	switch v.Kind() {
	case slog.KindInt64:
		return integer(key, v.Int64())
	case slog.KindDuration:
		return integer(key, int64(v.Duration()))
	case slog.KindFloat64:
		f := v.Float64()
		switch { // protobuf's JSON has no other way to say these
		case math.IsNaN(f):
			return attribute{key, value{DoubleValue: "NaN"}}
		case math.IsInf(f, 1):
			return attribute{key, value{DoubleValue: "Infinity"}}
		case math.IsInf(f, -1):
			return attribute{key, value{DoubleValue: "-Infinity"}}
		}
		return attribute{key, value{DoubleValue: f}}
	case slog.KindBool:
		b := v.Bool()
		return attribute{key, value{BoolValue: &b}}
	case slog.KindGroup:
		return attribute{key, value{Fields: &fieldsList{toAttributes(v.Group())}}}
	case slog.KindAny:
		if b, ok := v.Any().([]byte); ok {
			s := base64.StdEncoding.EncodeToString(b)
			return attribute{key, value{BytesValue: &s}}
		}
	}
	return text(key, v.String())
}
