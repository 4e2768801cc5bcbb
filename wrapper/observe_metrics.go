package wrapper

import (
	"context"
	"errors"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
)

// metricsObserver counts and times calls.
type metricsObserver struct {
	httpServer, httpClient  *metrics.Vec[metrics.Histogram]
	rpcServer, rpcClient    *metrics.Vec[metrics.Histogram]
	process, operation      *metrics.Vec[metrics.Histogram]
	db, lock                *metrics.Vec[metrics.Histogram]
	sent, consumed          *metrics.Vec[metrics.Counter]
	httpActive, active      *metrics.Vec[metrics.UpDownCounter]
	late, refusals, attempt *metrics.Vec[metrics.Counter]
	exhausted, refused      *metrics.Vec[metrics.Counter]
}

func newMetricsObserver(m metrics.Metrics) *metricsObserver {
	duration := func(name, help string, keys ...string) *metrics.Vec[metrics.Histogram] {
		return m.HistogramVec(name, append(keys, attrErrorType), metrics.Unit("s"), metrics.Help(help))
	}
	counter := func(name, unit, help string, keys ...string) *metrics.Vec[metrics.Counter] {
		return m.CounterVec(name, keys, metrics.Unit(unit), metrics.Help(help))
	}
	upDown := func(name, unit, help string, keys ...string) *metrics.Vec[metrics.UpDownCounter] {
		return m.UpDownCounterVec(name, keys, metrics.Unit(unit), metrics.Help(help))
	}
	return &metricsObserver{
		httpServer: duration("http.server.request.duration", "Duration of HTTP server requests.", attrHTTPMethod, attrHTTPRoute, attrHTTPStatus, attrURLScheme, attrProtocol),
		httpActive: upDown("http.server.active_requests", "{request}", "Number of active HTTP server requests.", attrHTTPMethod, attrURLScheme),
		httpClient: duration("http.client.request.duration", "Duration of HTTP client requests, with all attempts.", attrHTTPMethod, attrServerAddress, attrServerPort, attrHTTPStatus, attrProtocol),
		rpcServer:  duration("rpc.server.call.duration", "Measures the duration of an incoming Remote Procedure Call (RPC).", attrRPCSystem, attrRPCMethod, attrRPCStatus),
		rpcClient:  duration("rpc.client.call.duration", "Measures the duration of an outgoing Remote Procedure Call (RPC), with all attempts.", attrRPCSystem, attrRPCMethod, attrServerAddress, attrServerPort, attrRPCStatus),
		process:    duration("messaging.process.duration", "Duration of processing operation.", attrMessagingSystem, attrMessagingOperation, attrMessagingDestination, attrMessagingGroup),
		operation:  duration("messaging.client.operation.duration", "Duration of messaging operation initiated by a producer or consumer client.", attrMessagingSystem, attrMessagingOperation, attrMessagingType, attrMessagingDestination),
		db:         duration("db.client.operation.duration", "Duration of database client operations.", attrDBSystem, attrDBOperation, attrDBCollection),
		lock:       duration("platform.lock.acquire.duration", "How long locks and permits were waited for.", attrDBSystem, attrLockOp),
		sent:       counter("messaging.client.sent.messages", "{message}", "Number of messages producer attempted to send to the broker.", attrMessagingSystem, attrMessagingOperation, attrMessagingDestination, attrErrorType),
		consumed:   counter("messaging.client.consumed.messages", "{message}", "Number of messages that were delivered to the application.", attrMessagingSystem, attrMessagingOperation, attrMessagingDestination, attrMessagingGroup),
		active:     upDown("platform.server.active_calls", "{call}", "Calls and messages in progress that came in over other protocols than HTTP.", attrProto),
		late:       counter("platform.server.late", "{call}", "Answers of handlers that came after the call's deadline and were dropped.", attrHTTPMethod, attrHTTPRoute, attrRPCMethod),
		refusals:   counter("platform.server.refusals", "{call}", "Calls that were not let in, by reason: limit, or one of auth.ReasonOf.", attrReason),
		attempt:    counter("platform.client.attempts", "{attempt}", "Attempts to send calls, by what came of them.", attrServerAddress, attrServerPort, attrAttempt, attrOutcome),
		exhausted:  counter("platform.client.budget.exhausted", "{attempt}", "Attempts that were not made because the budget was spent.", attrServerAddress, attrServerPort, attrAttempt),
		refused:    counter("platform.client.refusals", "{call}", "Calls that were held back on this side, by reason: limit, breaker or no_instance.", attrServerAddress, attrServerPort, attrReason),
	}
}

func (o *metricsObserver) Begin(ctx context.Context, c *Call) context.Context {
	if c.Side == Server {
		o.inProgress(c).Inc()
		if c.Message {
			name, _ := c.operation()
			o.consumed.With(c.messagingSystem(), name, c.Method, c.Group).Inc()
		}
	}
	return ctx
}

func (o *metricsObserver) inProgress(c *Call) metrics.UpDownCounter {
	if c.Protocol == "http" {
		return o.httpActive.With(c.Action, c.scheme())
	}
	return o.active.With(c.Protocol)
}

func (o *metricsObserver) End(ctx context.Context, c *Call) {
	seconds, failed := c.Duration.Seconds(), c.failed()
	if c.Side == Server {
		o.inProgress(c).Dec()
		if c.refused {
			o.refusals.With(refusal(c)).Inc()
		}
		if c.Late {
			o.countLate(c)
		}
	}
	switch {
	case c.Message:
		o.message(ctx, c, seconds, failed)
	case c.Side == Server && c.Protocol == "http":
		o.httpServer.With(c.Action, c.Route, statusText(c.Status), c.scheme(), c.version(), failed).ObserveContext(ctx, seconds)
	case c.Side == Server:
		o.rpcServer.With(c.rpcSystem(), c.rpcMethod(), c.rpcStatus(), failed).ObserveContext(ctx, seconds)
	case c.Protocol == "db":
		o.db.With(c.System, c.Action, c.Resource, failed).ObserveContext(ctx, seconds)
	case c.Protocol == "lock":
		o.lock.With(c.System, c.Action, failed).ObserveContext(ctx, seconds)
	default:
		host, port := splitService(c.Service)
		if why := notSent(c); why != "" {
			o.refused.With(host, port, why).Inc()
		}
		if c.Protocol == "http" {
			o.httpClient.With(c.Action, host, port, statusText(c.Status), c.version(), failed).ObserveContext(ctx, seconds)
		} else {
			o.rpcClient.With(c.rpcSystem(), c.rpcMethod(), host, port, c.rpcStatus(), failed).ObserveContext(ctx, seconds)
		}
	}
}

func (o *metricsObserver) message(ctx context.Context, c *Call, seconds float64, failed string) {
	name, kind := c.operation()
	if c.Side == Server {
		o.process.With(c.messagingSystem(), name, c.Method, c.Group, failed).ObserveContext(ctx, seconds)
		return
	}
	o.operation.With(c.messagingSystem(), name, kind, c.Method, failed).ObserveContext(ctx, seconds)
	if c.Class != router.Unsent {
		o.sent.With(c.messagingSystem(), name, c.Method, failed).Add(int64(max(c.Messages, 1)))
	}
}

func (o *metricsObserver) countLate(c *Call) {
	if c.Protocol == "http" {
		o.late.With(c.Action, c.Route, "").Inc()
	} else {
		o.late.With("", "", c.rpcMethod()).Inc()
	}
}

func (o *metricsObserver) BeginAttempt(ctx context.Context, _ *Attempt) context.Context { return ctx }

func (o *metricsObserver) EndAttempt(_ context.Context, a *Attempt) {
	host, port := splitService(a.Call.Service)
	o.attempt.With(host, port, a.kind(), a.Class.String()).Inc()
}

// The kinds of attempts.
const (
	firstAttempt = "first"
	retryAttempt = "retry"
	hedgeAttempt = "hedge"
)

func (a *Attempt) kind() string {
	switch {
	case a.beside:
		return hedgeAttempt
	case a.Number > 1:
		return retryAttempt
	}
	return firstAttempt
}

// notSent says what on this side kept a call from being sent, or "".
func notSent(c *Call) string {
	switch {
	case c.Err == nil:
		return ""
	case errors.Is(c.Err, router.ErrLimited):
		return "limit"
	case errors.Is(c.Err, router.ErrOpen):
		return "breaker"
	case errors.Is(c.Err, router.ErrNoInstances):
		return "no_instance"
	}
	return ""
}

// pay takes an attempt of a kind out of a budget, and counts it if there is none
// left.
func (w *Wrapper) pay(b *budget, c *Call, kind string) bool {
	if b.take() {
		return true
	}
	if w.counts != nil {
		host, port := splitService(c.Service)
		w.counts.exhausted.With(host, port, kind).Inc()
	}
	return false
}
