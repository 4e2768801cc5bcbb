package auth

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/seldom"
)

// Refusal is a caller that was not let in.
type Refusal struct {
	Reason   string   // of Err: see ReasonOf
	Err      error    // what was shown and what is accepted; never a token or a secret
	Request  Request  // what was asked for; its strings are the caller's
	Token    *Token   // of somebody who is known but may not; else nil
	Decision Decision // of the policy, if there is a Token
}

// reasons are in the order in which ReasonOf tests them: the finer first.
var reasons = []struct {
	err  error
	name string
}{
	{ErrPath, "path"},
	{ErrUnavailable, "unavailable"},
	{ErrNoCredential, "no_credential"},
	{ErrExpired, "expired"},
	{ErrRevoked, "revoked"},
	{ErrNonce, "nonce"},
	{ErrProof, "proof"},
	{ErrBinding, "binding"},
	{ErrAudience, "audience"},
	{errFuture, "not_yet_valid"},
	{jose.ErrType, "type"},
	{jose.ErrIssuer, "issuer"},
	{jose.ErrSignature, "signature"},
	{jose.ErrNoKey, "key"},
	{jose.ErrKey, "key"},
	{jose.ErrClaims, "claims"},
	{jose.ErrFormat, "malformed"},
	{ErrUnauthenticated, "credential"},
	{ErrDenied, "denied"},
}

// ReasonOf names why Authorized refused, for metrics and logs: "no_credential",
// "malformed" (no token at all), "type" (not an access token), "issuer", "key"
// (none that is known), "signature", "claims", "expired", "not_yet_valid",
// "audience", "revoked", "nonce" (see WithNonces), "proof" (RFC 9449), "binding"
// (RFC 8705), "credential" (refused by the authority, or not of the scheme),
// "denied" (by the policy), "path" (see NormalizePath) or "unavailable" (nobody
// could be asked). Any other error is "other", nil is "".
func ReasonOf(err error) string {
	if err == nil {
		return ""
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "other"
}

// WithRefusals is notified of every caller that Authorized does not let in, on the
// caller's goroutine: to count them by reason, or for an audit. WithLogger logs
// them.
func WithRefusals(f func(ctx context.Context, r Refusal)) Option {
	return func(o *options) error { o.refusals = f; return nil }
}

// logRefusals returns a function that writes a record at level Warn with the
// reason, what was shown and what is accepted. Of each reason it writes five in ten
// seconds; the next then says how many it left out.
func logRefusals(l *slog.Logger) func(context.Context, Refusal) {
	gate := &seldom.Gate{}
	return func(ctx context.Context, r Refusal) {
		ok, dropped := gate.Pass(r.Reason, time.Now())
		if !ok {
			return
		}
		attrs := []slog.Attr{
			slog.String("reason", r.Reason), slog.String("service", short(r.Request.Service)),
			slog.String("action", short(r.Request.Action)), slog.String("resource", short(r.Request.Resource)),
		}
		if r.Token != nil {
			attrs = append(attrs, slog.Any("token", r.Token), slog.String("rule", r.Decision.Rule), slog.String("revision", r.Decision.Revision))
		}
		if dropped > 0 {
			attrs = append(attrs, slog.Int("left_out", dropped))
		}
		l.LogAttrs(ctx, slog.LevelWarn, "auth: caller refused", append(attrs, slog.Any("error", r.Err))...)
	}
}

// short bounds what a stranger writes into logs and errors.
func short(s string) string {
	const most = 256
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// tell tells of a refusal, unless it is the caller who gave up or this process.
func (f *front) tell(ctx context.Context, r Refusal) {
	if ctx.Err() != nil || fault.KindOf(r.Err) == fault.Closed {
		return
	}
	r.Reason = ReasonOf(r.Err)
	if f.logRefusal != nil {
		f.logRefusal(ctx, r)
	}
	if f.refusals != nil {
		f.lines.Guard(f.log, "auth: the function of WithRefusals failed", func() { f.refusals(ctx, r) })
	}
}
