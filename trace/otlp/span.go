package otlp

import (
	"log/slog"
	"net"
	"strconv"

	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/trace"
)

// scopeName says which library made the spans.
const scopeName = "github.com/micro/go-platform/trace"

// kinds in the protocol's numbers.
var kinds = [...]uint64{trace.Internal: 1, trace.Server: 2, trace.Client: 3, trace.Producer: 4, trace.Consumer: 5}

// kindOf returns Internal for a kind that there is not, as its String does.
func kindOf(k trace.Kind) uint64 {
	if int(k) >= len(kinds) {
		k = trace.Internal
	}
	return kinds[k]
}

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

// appendSpan appends s as a span of ScopeSpans.
func appendSpan(b []byte, s *trace.SpanData) []byte {
	b, start := otlp.Open(b, 2)
	b = otlp.Bytes(b, 1, s.Context.TraceID[:])
	b = otlp.Bytes(b, 2, s.Context.SpanID[:])
	b = otlp.Text(b, 3, s.Context.State)
	if !s.Context.ParentID.IsZero() {
		b = otlp.Bytes(b, 4, s.Context.ParentID[:])
	}
	b = otlp.Fixed32(b, 16, flags(s.Context.Flags, s.Inbound))
	b = otlp.Text(b, 5, s.Name)
	b = otlp.Varint(b, 6, kindOf(s.Kind))
	b = otlp.Fixed64(b, 7, uint64(s.Start.UnixNano()))
	b = otlp.Fixed64(b, 8, uint64(s.Start.Add(s.Duration).UnixNano()))
	b = otlp.Attributes(b, 9, s.Tags)
	if s.Remote.Service != "" {
		b = otlp.Attribute(b, 9, "service.peer.name", slog.StringValue(s.Remote.Service))
	}
	b = appendPeer(b, s.Remote.Address)
	if s.Dropped > 0 {
		b = otlp.Varint(b, 10, uint64(s.Dropped))
	}
	for i := range s.Events {
		e := &s.Events[i]
		var at int
		b, at = otlp.Open(b, 11)
		b = otlp.Fixed64(b, 1, uint64(e.Time.UnixNano()))
		b = otlp.Text(b, 2, e.Name)
		b = otlp.Shut(otlp.Attributes(b, 3, e.Tags), at)
	}
	for i := range s.Links {
		l := &s.Links[i]
		var at int
		b, at = otlp.Open(b, 13)
		b = otlp.Bytes(b, 1, l.Context.TraceID[:])
		b = otlp.Bytes(b, 2, l.Context.SpanID[:])
		b = otlp.Text(b, 3, l.Context.State)
		b = otlp.Attributes(b, 4, l.Tags)
		b = otlp.Shut(otlp.Fixed32(b, 6, flags(l.Context.Flags, l.Context.Remote)), at)
	}
	if s.Err != "" {
		var at int
		b, at = otlp.Open(b, 15)
		b = otlp.Shut(otlp.Varint(otlp.String(b, 2, s.Err), 3, statusError), at)
	}
	return otlp.Shut(b, start)
}

// appendPeer appends "host:port" as two attributes, and what is not as one.
func appendPeer(b []byte, addr string) []byte {
	if addr == "" {
		return b
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return otlp.Attribute(b, 9, "network.peer.address", slog.StringValue(addr))
	}
	n, _ := strconv.ParseInt(port, 10, 32)
	b = otlp.Attribute(b, 9, "network.peer.address", slog.StringValue(host))
	return otlp.Attribute(b, 9, "network.peer.port", slog.Int64Value(n))
}
