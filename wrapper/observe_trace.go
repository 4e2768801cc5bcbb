package wrapper

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

var (
	serverSpan  = []trace.SpanOption{trace.OfKind(trace.Server)}
	clientSpan  = []trace.SpanOption{trace.OfKind(trace.Client)}
	publishSpan = []trace.SpanOption{trace.OfKind(trace.Producer)}
	consumeSpan = []trace.SpanOption{trace.OfKind(trace.Consumer)}
)

// traceObserver makes a span of each call. Its first attempt, which is the only
// one of most, is the call's span itself; each further one has its own below it.
type traceObserver struct{ t trace.Tracer }

func (o traceObserver) Begin(ctx context.Context, c *Call) context.Context {
	if c.Side == Server {
		kind := serverSpan
		if c.Message {
			kind = consumeSpan
		}
		ctx, c.span = o.t.Start(o.t.Extract(ctx, c.Header), c.spanName(), kind...)
		return ctx
	}
	if !c.Message {
		ctx, c.span = o.t.Start(ctx, c.spanName(), clientSpan...)
		return ctx
	}
	// A message has no attempts with spans of their own: it carries this one.
	ctx, c.span = o.t.Start(ctx, c.spanName(), publishSpan...)
	o.t.Inject(ctx, c.Header)
	return ctx
}

func (o traceObserver) End(_ context.Context, c *Call) {
	if c.Side == Server {
		c.span.SetName(c.spanName()) // the mux has matched by now
	}
	if c.span.Recording() {
		describe(c.span, c)
		if failed := c.failed(); failed != "" {
			c.span.Tag(attrErrorType, failed)
			c.span.Error(c.reason())
		}
	}
	c.span.EndAt(c.Start.Add(c.Duration))
}

func (o traceObserver) BeginAttempt(ctx context.Context, a *Attempt) context.Context {
	if a.Number > 1 {
		ctx, a.span = o.t.Start(ctx, a.Call.spanName(), clientSpan...)
		if a.span.Recording() {
			describeRequest(a.span, a.Call)
			if a.Call.Protocol == "http" {
				a.span.TagInt(attrHTTPResend, int64(a.Number-1))
			} else {
				a.span.TagInt(attrResend, int64(a.Number-1))
			}
		}
	}
	o.t.Inject(ctx, a.Header)
	return ctx
}

func (o traceObserver) EndAttempt(_ context.Context, a *Attempt) {
	if a.span == nil {
		firstFailed(a)
		return
	}
	if a.span.Recording() {
		tagRemote(a.span, a.Call, a.Instance)                      // gRPC chooses it late
		describeAnswer(a.span, a.Call, a.proto, a.Class, a.Status) // the call may have ended, with another attempt
		if failed := failureType(a.Call, a.Class, a.Status); failed != "" {
			a.span.Tag(attrErrorType, failed)
			a.span.Error(failureOf(a.Class, a.Status, a.Err))
		}
	}
	a.span.End()
}

// firstFailed notes on the call's span how its first attempt went, which the
// call's own end says only if there was no other.
func firstFailed(a *Attempt) {
	if !a.Class.Failed() || !a.Call.span.Recording() {
		return
	}
	tags := []trace.Tag{slog.String(attrErrorType, failureType(a.Call, a.Class, a.Status)),
		slog.String(attrExceptionMessage, failureOf(a.Class, a.Status, a.Err).Error())}
	if a.Instance != nil {
		tags = append(tags, slog.String(attrInstance, a.Instance.ID))
	}
	a.Call.span.Event("attempt failed", tags...)
}

// describe says what the call was and how it went.
func describe(s trace.Span, c *Call) {
	describeRequest(s, c)
	describeAnswer(s, c, c.version(), c.Class, c.Status)
	tagIf(s, attrRequestID, c.RequestID)
	switch {
	case c.Message && c.Side == Server:
		s.TagInt(attrDelivery, int64(max(c.Attempts, 1)))
	case c.Attempts > 1:
		s.TagInt(attrAttempts, int64(c.Attempts))
	}
	if c.Side == Client && !c.Message {
		tagRemote(s, c, c.Instance)
	}
}

// describeRequest says what was asked for. Of what a caller chose, the query is
// left out, which may hold secrets, and the rest is cut.
func describeRequest(s trace.Span, c *Call) {
	switch {
	case c.Message:
		name, kind := c.operation()
		s.Tag(attrMessagingSystem, c.messagingSystem())
		s.Tag(attrMessagingOperation, name)
		s.Tag(attrMessagingType, kind)
		s.Tag(attrMessagingDestination, c.Method)
		tagIf(s, attrMessagingGroup, c.Group)
		tagIf(s, attrMessagingID, c.MessageID)
		if c.Messages > 1 {
			s.TagInt(attrMessagingCount, int64(c.Messages))
		}
		return
	case c.Protocol == "db":
		s.Tag(attrDBSystem, c.System)
		s.Tag(attrDBOperation, c.Action)
		tagIf(s, attrDBCollection, c.Resource)
		if c.Messages > 1 {
			s.TagInt(attrDBBatch, int64(c.Messages))
		}
		return
	case c.Protocol == "lock":
		s.Tag(attrDBSystem, c.System)
		s.Tag(attrLockOp, c.Action)
		s.Tag(attrLockID, clip(c.Resource, maxAgentText))
		return
	case c.Protocol != "http":
		s.Tag(attrRPCSystem, c.rpcSystem())
		s.Tag(attrRPCMethod, c.rpcMethod())
		if c.Method == other {
			s.Tag(attrRPCOriginal, clip(c.Action, maxPathText))
		}
	default:
		describeHTTP(s, c, c.httpRequest())
	}
	if c.Side == Client {
		tagServer(s, c.Service)
		return
	}
	if c.Protocol == "grpc" {
		tagServer(s, clip(c.Header.Get(":authority"), maxAgentText))
	}
	if c.Peer != nil {
		tagPeer(s, c.Peer.String())
	}
}

func describeHTTP(s trace.Span, c *Call, r *http.Request) {
	s.Tag(attrHTTPMethod, c.Action)
	if r == nil || r.URL == nil {
		return
	}
	if c.Action == other {
		s.Tag(attrHTTPOriginal, clip(r.Method, maxMethodText))
	}
	if c.Side == Client {
		s.Tag(attrURLFull, clip(r.URL.Scheme+"://"+r.URL.Host+r.URL.EscapedPath(), maxPathText))
		return
	}
	s.Tag(attrURLScheme, c.scheme())
	s.Tag(attrURLPath, clip(r.URL.Path, maxPathText))
	tagIf(s, attrHTTPRoute, c.Route)
	tagServer(s, clip(r.Host, maxAgentText))
	tagPeer(s, r.RemoteAddr)
	tagIf(s, attrUserAgent, clip(r.UserAgent(), maxAgentText))
}

// describeAnswer says what came of it.
func describeAnswer(s trace.Span, c *Call, version string, class router.Class, status int) {
	switch {
	case c.Message, c.Protocol == "db", c.Protocol == "lock":
	case c.Protocol == "http":
		if status != 0 {
			s.TagInt(attrHTTPStatus, int64(status))
		}
		tagIf(s, attrProtocol, version)
	case c.Protocol == "grpc":
		s.Tag(attrRPCStatus, codeText(status))
	default:
		tagIf(s, attrRPCStatus, statusText(status))
	}
	if class != router.OK {
		s.Tag(attrOutcome, class.String())
	}
}

// tagServer says who was called, as the caller named it.
func tagServer(s trace.Span, service string) {
	host, port := splitService(service)
	tagIf(s, attrServerAddress, host)
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		s.TagInt(attrServerPort, int64(n))
	}
}

// tagPeer says from where the call came.
func tagPeer(s trace.Span, addr string) {
	host, _ := splitService(addr)
	tagIf(s, attrClientAddress, host)
	s.SetRemote(trace.Endpoint{Address: addr})
}

// tagRemote says which instance was called.
func tagRemote(s trace.Span, c *Call, in *discovery.Instance) {
	e := trace.Endpoint{Service: c.Service}
	if in != nil {
		e.Address = in.Address
		s.Tag(attrInstance, in.ID)
	}
	s.SetRemote(e)
}

func tagIf(s trace.Span, key, value string) {
	if value != "" {
		s.Tag(key, value)
	}
}
