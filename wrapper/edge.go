package wrapper

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// WithEdge says that this service stands at the border: its callers are
// strangers, and what they send beside their request is not believed. Labels,
// deadlines, request ids, trace contexts and their sampling decisions, baggage,
// and the headers by which proxies inside tell who a caller is are dropped
// before anything looks at them, the handler included. Credentials stay: auth
// verifies them. Reports of load (WithLoadReport) are not shown.
//
// trusted excepts calls, by the peer's certificate or address for instance (the
// context of gRPC has a peer): one function that returns true is enough. A
// header proves nothing there. Without any, nobody is trusted. The default is
// that all callers are services of yours. Messages, such as the records of
// wrapper/event, are not affected.
func WithEdge(trusted ...func(ctx context.Context, c *Call) bool) Option {
	return func(o *options) error {
		if slices.ContainsFunc(trusted, func(f func(context.Context, *Call) bool) bool { return f == nil }) {
			return errors.New("nil function")
		}
		o.edge, o.trusted = true, append(o.trusted, trusted...)
		return nil
	}
}

// believes reports whether what the caller sent beside its request counts.
func (o *options) believes(ctx context.Context, c *Call) bool {
	return !o.edge || slices.ContainsFunc(o.trusted, func(f func(context.Context, *Call) bool) bool { return o.trusts(ctx, c, f) })
}

// trusts asks one function. One that panics trusts nobody.
func (o *options) trusts(ctx context.Context, c *Call, f func(context.Context, *Call) bool) bool {
	defer o.faults.caught(ctx, "a function of WithEdge")
	return f(ctx, c)
}

// Border returns the header that counts of a call that came in: all of it, or
// at the border (WithEdge) a copy without what a stranger must not say. An
// adapter asks before it reads anything else.
func (a Adapter) Border(ctx context.Context, c *Call, header map[string][]string) map[string][]string {
	return border(ctx, a.w.o, c, header)
}

// MessageBorder is Border for a header with one value for each name.
func (a Adapter) MessageBorder(ctx context.Context, c *Call, header map[string]string) map[string]string {
	return border(ctx, a.w.o, c, header)
}

func border[V any](ctx context.Context, o *options, c *Call, header map[string]V) map[string]V {
	if o.believes(ctx, c) {
		return header
	}
	c.stranger = true
	kept := make(map[string]V, len(header))
	for k, v := range header {
		if !inside(k) {
			kept[k] = v
		}
	}
	return kept
}

// border is Border for a request, which is not changed.
func (w *Wrapper) border(c *Call, r *http.Request) *http.Request {
	header := w.Adapter().Border(r.Context(), c, r.Header)
	if !c.stranger {
		return r
	}
	clean := new(http.Request)
	*clean = *r
	clean.Header = header
	return clean
}

// Headers that only services inside may send, in lower case.
var insideNames = map[string]bool{
	"x-request-id": true, "x-deadline-ms": true, "x-attempt": true, "x-load": true, "x-no-retry": true,
	// Traces and what travels with them.
	"traceparent": true, "tracestate": true, "baggage": true, "b3": true, "uber-trace-id": true,
	"x-cloud-trace-context": true, "x-amzn-trace-id": true, "grpc-trace-bin": true, "grpc-tags-bin": true,
	// Who the caller is, as proxies tell the services behind them.
	"remote-user": true, "x-remote-user": true, "x-remote-group": true, "x-remote-groups": true, "x-user": true, "x-user-id": true, "x-email": true,
	"x-forwarded-user": true, "x-forwarded-email": true, "x-forwarded-groups": true, "x-forwarded-preferred-username": true,
	"x-forwarded-access-token": true, "x-forwarded-client-cert": true, "x-client-cert": true, "client-cert": true, "client-cert-chain": true,
	"x-jwt-payload": true, "x-userinfo": true, "x-consumer-id": true, "x-consumer-username": true,
}

// And the beginnings of such names.
var insidePrefixes = []string{
	"x-micro-", "micro-", "x-b3-", "x-datadog-", "uberctx-", "x-ot-span-context", "ot-tracer-", "ot-baggage-",
	"x-auth-request-", "x-authenticated-", "x-ssl-client-", "ssl-client-", "x-goog-authenticated-user-", "x-ms-client-principal", "x-amzn-oidc-",
}

// inside reports whether a header is for services inside only.
func inside(name string) bool {
	name = strings.ToLower(name)
	return insideNames[name] || slices.ContainsFunc(insidePrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
