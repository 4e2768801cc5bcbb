package wrapper

import (
	"context"

	"github.com/micro/go-platform/metrics"
)

// metricsObserver counts and times calls.
type metricsObserver struct {
	serverCalls, clientCalls, attempts *metrics.Vec[metrics.Counter]
	serverSeconds, clientSeconds       *metrics.Vec[metrics.Histogram]
	inFlight                           metrics.Gauge
	late, refusals                     *metrics.Vec[metrics.Counter]
}

func newMetricsObserver(m metrics.Metrics) *metricsObserver {
	seconds := metrics.WithUnit("seconds")
	return &metricsObserver{
		serverCalls:   m.CounterVec("server_calls", []string{"method", "outcome"}, metrics.WithHelp("Calls that came in, by method and outcome.")),
		serverSeconds: m.HistogramVec("server_seconds", []string{"method"}, seconds, metrics.WithHelp("How long calls that came in took.")),
		late:          m.CounterVec("server_late", []string{"method"}, metrics.WithHelp("Answers of handlers that came after the call's deadline and were dropped, by method.")),
		refusals:      m.CounterVec("server_refusals", []string{"reason"}, metrics.WithHelp("Calls that were not let in, by reason: limit, or one of auth.ReasonOf.")),
		inFlight:      m.Gauge("server_in_flight", metrics.WithHelp("Calls in progress that came in.")),
		clientCalls:   m.CounterVec("client_calls", []string{"service", "method", "outcome"}, metrics.WithHelp("Calls that went out, by service, method and outcome.")),
		clientSeconds: m.HistogramVec("client_seconds", []string{"service"}, seconds, metrics.WithHelp("How long calls that went out took, with all attempts.")),
		attempts:      m.CounterVec("client_attempts", []string{"service", "outcome"}, metrics.WithHelp("Attempts to send calls, by service and outcome.")),
	}
}

func (o *metricsObserver) Begin(ctx context.Context, c *Call) context.Context {
	if c.Side == Server {
		o.inFlight.Add(1)
	}
	return ctx
}

func (o *metricsObserver) End(ctx context.Context, c *Call) {
	if c.Side == Server {
		o.inFlight.Add(-1)
		o.serverCalls.With(c.Method, c.Class.String()).Inc()
		if c.refused {
			o.refusals.With(refusal(c)).Inc()
		}
		if c.Late {
			o.late.With(c.Method).Inc()
		}
		o.serverSeconds.With(c.Method).ObserveContext(ctx, c.Duration.Seconds())
		return
	}
	o.clientCalls.With(c.Service, c.Method, c.Class.String()).Inc()
	o.clientSeconds.With(c.Service).ObserveContext(ctx, c.Duration.Seconds())
}

func (o *metricsObserver) BeginAttempt(ctx context.Context, _ *Attempt) context.Context { return ctx }

func (o *metricsObserver) EndAttempt(_ context.Context, a *Attempt) {
	o.attempts.With(a.Call.Service, a.Class.String()).Inc()
}
