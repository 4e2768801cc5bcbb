package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// otlp returns the collector's OTLP receiver for the three signals over one protocol.
func otlp(ctx context.Context, kind, addr string, out *printer) ([]component.Component, error) {
	f := otlpreceiver.NewFactory()
	c := f.CreateDefaultConfig().(*otlpreceiver.Config)
	if strings.HasSuffix(kind, "http") {
		c.Protocols.HTTP.GetOrInsertDefault().ServerConfig.NetAddr.Endpoint = addr
	} else {
		c.Protocols.GRPC.GetOrInsertDefault().NetAddr.Endpoint = addr
	}
	s := &sink{out: out, counts: strings.HasPrefix(kind, "discard"), refused: map[string]bool{}}
	traces, _ := consumer.NewTraces(s.traces)
	metrics, _ := consumer.NewMetrics(s.metrics)
	logs, _ := consumer.NewLogs(s.logs)
	set := receivertest.NewNopSettings(f.Type())
	t, err := f.CreateTraces(ctx, set, c, traces)
	if err != nil {
		return nil, err
	}
	m, err := f.CreateMetrics(ctx, set, c, metrics)
	if err != nil {
		return nil, err
	}
	l, err := f.CreateLogs(ctx, set, c, logs)
	return []component.Component{t, m, l}, err
}

// A sink prints batches, or how large they are.
type sink struct {
	out    *printer
	counts bool

	mu      sync.Mutex
	refused map[string]bool
}

func (s *sink) count(kind string, n int) error {
	return s.out.print(kind, fmt.Appendf(nil, "%d", n), nil)
}

func (s *sink) traces(_ context.Context, t ptrace.Traces) error {
	if s.counts {
		return s.count("spans", t.SpanCount())
	}
	for _, r := range t.ResourceSpans().All() {
		if err := s.refuse(r.Resource()); err != nil {
			return err
		}
	}
	b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(t)
	return s.out.print("traces", b, err)
}

func (s *sink) metrics(_ context.Context, m pmetric.Metrics) error {
	if s.counts {
		return s.count("points", m.DataPointCount())
	}
	for _, r := range m.ResourceMetrics().All() {
		if err := s.refuse(r.Resource()); err != nil {
			return err
		}
	}
	b, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(m)
	return s.out.print("metrics", b, err)
}

func (s *sink) logs(_ context.Context, l plog.Logs) error {
	if s.counts {
		return s.count("records", l.LogRecordCount())
	}
	for _, r := range l.ResourceLogs().All() {
		if err := s.refuse(r.Resource()); err != nil {
			return err
		}
	}
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(l)
	return s.out.print("logs", b, err)
}

// refuse throttles the first batch whose resource has a given value of the attribute rx.throttle,
// for a second, and takes the next ones.
func (s *sink) refuse(r pcommon.Resource) error {
	v, ok := r.Attributes().Get("rx.throttle")
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused[v.AsString()] {
		return nil
	}
	s.refused[v.AsString()] = true
	st, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		return err
	}
	return st.Err()
}
