package otlp_test

import (
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/trace/tracetest"
)

// ways are the port of the collector for each way to send, and what asks for it.
var ways = map[string]struct {
	port string
	opts []engineotlp.Option
}{
	"protobuf": {"otlphttp", nil},
	"json":     {"otlphttp", []engineotlp.Option{engineotlp.WithJSON()}},
	"grpc":     {"otlpgrpc", []engineotlp.Option{otlpgrpc.Transport()}},
}

func TestConformanceOnTheCollector(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := servertest.SharedCollector(t)
			tracetest.Run(t, tracetest.Harness{
				Backend: func(testing.TB) trace.Option { return otlp.Backend(c.AddrOf(way.port), way.opts...) },
				Read:    func(t testing.TB, id trace.TraceID) []trace.SpanData { return stored(t, c, id) },
				Down: func(t testing.TB) trace.Option {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					return otlp.Backend(l.Addr().String(), way.opts...)
				},
				Features: tracetest.Features{Resolution: time.Nanosecond, Addresses: true, TypedTags: true, EventTags: true, Links: true},
			})
		})
	}
}

// A keyValue is an attribute as the collector's receiver has it.
type keyValue struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    *string
		DoubleValue *float64
		BoolValue   *bool
	}
}

func tags(all []keyValue) (tags []trace.Tag) {
	for _, a := range all {
		v := a.Value
		switch {
		case v.StringValue != nil:
			tags = append(tags, slog.String(a.Key, *v.StringValue))
		case v.IntValue != nil:
			tags = append(tags, slog.Int64(a.Key, int64(nano(*v.IntValue))))
		case v.DoubleValue != nil:
			tags = append(tags, slog.Float64(a.Key, *v.DoubleValue))
		case v.BoolValue != nil:
			tags = append(tags, slog.Bool(a.Key, *v.BoolValue))
		}
	}
	return tags
}

func text(all []keyValue, key string) string {
	for _, a := range tags(all) {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

func nano(s string) time.Duration {
	n, _ := strconv.ParseInt(s, 10, 64)
	return time.Duration(n)
}

type spanJSON struct {
	TraceID, SpanID, ParentSpanID, Name, StartTimeUnixNano, EndTimeUnixNano string
	Kind                                                                    int
	Attributes                                                              []keyValue
	Events                                                                  []struct {
		Name, TimeUnixNano string
		Attributes         []keyValue
	}
	Links  []struct{ TraceID, SpanID string }
	Status struct {
		Message string
		Code    int
	}
}

func contextOf(traceID, spanID, parent string) (sc trace.SpanContext) {
	_, _ = hex.Decode(sc.TraceID[:], []byte(traceID))
	_, _ = hex.Decode(sc.SpanID[:], []byte(spanID))
	_, _ = hex.Decode(sc.ParentID[:], []byte(parent))
	return sc
}

func (s spanJSON) data(resource []keyValue) trace.SpanData {
	kinds := []trace.Kind{1: trace.Internal, 2: trace.Server, 3: trace.Client, 4: trace.Producer, 5: trace.Consumer}
	d := trace.SpanData{
		Context: contextOf(s.TraceID, s.SpanID, s.ParentSpanID), Name: s.Name, Kind: kinds[s.Kind], Tags: tags(s.Attributes),
		Start: time.Unix(0, int64(nano(s.StartTimeUnixNano))), Duration: nano(s.EndTimeUnixNano) - nano(s.StartTimeUnixNano),
		Local:  trace.Endpoint{Service: text(resource, "service.name"), Address: text(resource, "service.instance.id")},
		Remote: trace.Endpoint{Service: text(s.Attributes, "service.peer.name"), Address: text(s.Attributes, "network.peer.address") + ":" + text(s.Attributes, "network.peer.port")},
	}
	if s.Status.Code == 2 {
		d.Err = s.Status.Message
	}
	for _, e := range s.Events {
		d.Events = append(d.Events, trace.Event{Name: e.Name, Time: time.Unix(0, int64(nano(e.TimeUnixNano))), Tags: tags(e.Attributes)})
	}
	for _, l := range s.Links {
		d.Links = append(d.Links, trace.Link{Context: contextOf(l.TraceID, l.SpanID, "")})
	}
	return d
}

// stored returns the spans that the collector's receiver has of a trace.
func stored(t testing.TB, s *servertest.Server, id trace.TraceID) (all []trace.SpanData) {
	t.Helper()
	for _, line := range s.Lines("received") {
		if !strings.Contains(line, id.String()) {
			continue
		}
		var batch struct {
			Traces struct {
				ResourceSpans []struct {
					Resource   struct{ Attributes []keyValue }
					ScopeSpans []struct{ Spans []spanJSON }
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &batch); err != nil {
			t.Fatal(err)
		}
		for _, r := range batch.Traces.ResourceSpans {
			for _, sc := range r.ScopeSpans {
				for _, one := range sc.Spans {
					if one.TraceID == id.String() {
						all = append(all, one.data(r.Resource.Attributes))
					}
				}
			}
		}
	}
	return all
}
