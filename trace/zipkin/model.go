package zipkin

import (
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/trace"
	"github.com/openzipkin/zipkin-go/model"
)

// kinds in Zipkin's words; internal spans have none.
var kinds = map[trace.Kind]model.Kind{
	trace.Client: model.Client, trace.Server: model.Server, trace.Producer: model.Producer, trace.Consumer: model.Consumer,
}

func toModel(s *trace.SpanData) model.SpanModel {
	m := model.SpanModel{
		SpanContext:    toContext(s.Context),
		Name:           s.Name,
		Kind:           kinds[s.Kind],
		Timestamp:      s.Start,
		Duration:       max(s.Duration, time.Microsecond),
		Shared:         s.Shared,
		LocalEndpoint:  toEndpoint(s.Local),
		RemoteEndpoint: toEndpoint(s.Remote),
	}
	if s.Start.Unix() < 1 { // the model refuses the whole batch
		m.Timestamp = time.Unix(1, 0)
	}
	if n := len(s.Tags) + len(s.Links); n > 0 || s.Err != "" {
		m.Tags = make(map[string]string, n+1)
	}
	for _, t := range s.Tags {
		m.Tags[t.Key] = t.Value.String()
	}
	for i, l := range s.Links {
		m.Tags["link."+strconv.Itoa(i)] = l.Context.TraceID.String() + "-" + l.Context.SpanID.String()
	}
	if s.Err != "" {
		m.Tags["error"] = s.Err
	}
	for _, e := range s.Events {
		var b strings.Builder
		b.WriteString(e.Name)
		for _, t := range e.Tags {
			b.WriteString(" " + t.Key + "=" + t.Value.String())
		}
		m.Annotations = append(m.Annotations, model.Annotation{Timestamp: e.Time, Value: b.String()})
	}
	return m
}

func toContext(sc trace.SpanContext) model.SpanContext {
	c := model.SpanContext{
		TraceID: model.TraceID{High: binary.BigEndian.Uint64(sc.TraceID[:8]), Low: binary.BigEndian.Uint64(sc.TraceID[8:])},
		ID:      model.ID(binary.BigEndian.Uint64(sc.SpanID[:])),
		Debug:   sc.Flags&trace.Debug != 0,
	}
	if !sc.ParentID.IsZero() {
		parent := model.ID(binary.BigEndian.Uint64(sc.ParentID[:]))
		c.ParentID = &parent
	}
	return c
}

// toEndpoint understands "host:port", "host" and IP addresses; a host name that
// is no address has no place in the model.
func toEndpoint(e trace.Endpoint) *model.Endpoint {
	if e == (trace.Endpoint{}) {
		return nil
	}
	m := &model.Endpoint{ServiceName: e.Service}
	host := e.Address
	if h, p, err := net.SplitHostPort(e.Address); err == nil {
		host = h
		if n, err := strconv.ParseUint(p, 10, 16); err == nil {
			m.Port = uint16(n)
		}
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		ip = ip.Unmap().WithZone("")
		if ip.Is4() {
			m.IPv4 = ip.AsSlice()
		} else {
			m.IPv6 = ip.AsSlice()
		}
	}
	return m
}

func fromModel(m *model.SpanModel) trace.SpanData {
	s := trace.SpanData{
		Name: m.Name, Start: m.Timestamp, Duration: m.Duration, Shared: m.Shared,
		Local: fromEndpoint(m.LocalEndpoint), Remote: fromEndpoint(m.RemoteEndpoint),
	}
	s.Context.Flags = trace.Sampled
	binary.BigEndian.PutUint64(s.Context.TraceID[:8], m.TraceID.High)
	binary.BigEndian.PutUint64(s.Context.TraceID[8:], m.TraceID.Low)
	binary.BigEndian.PutUint64(s.Context.SpanID[:], uint64(m.ID))
	if m.ParentID != nil {
		binary.BigEndian.PutUint64(s.Context.ParentID[:], uint64(*m.ParentID))
	}
	for kind, name := range kinds {
		if name == m.Kind {
			s.Kind = kind
		}
	}
	for _, a := range m.Annotations {
		s.Events = append(s.Events, trace.Event{Name: a.Value, Time: a.Timestamp})
	}
	for _, k := range sortedKeys(m.Tags) {
		if k == "error" {
			s.Err = m.Tags[k]
			continue
		}
		s.Tags = append(s.Tags, slog.String(k, m.Tags[k]))
	}
	return s
}

func fromEndpoint(m *model.Endpoint) (e trace.Endpoint) {
	if m == nil {
		return e
	}
	e.Service = m.ServiceName
	ip := m.IPv4
	if ip == nil {
		ip = m.IPv6
	}
	switch {
	case ip == nil:
	case m.Port > 0:
		e.Address = net.JoinHostPort(ip.String(), strconv.Itoa(int(m.Port)))
	default:
		e.Address = ip.String()
	}
	return e
}
