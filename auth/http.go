package auth

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// CredentialFromRequest reads what a request shows: a token of its
// Authorization header (RFC 6750 section 2.1; one in a form or a query is not
// looked for), the proof of possession that goes with it (RFC 9449) and the
// client certificates of its connection. ok is false if it shows nothing. A
// header that can't be right, or two of them, is an ErrUnauthenticated.
func CredentialFromRequest(r *http.Request) (c Credential, ok bool, err error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		c.TLS, ok = r.TLS, true
	}
	switch h := r.Header["Authorization"]; len(h) {
	case 0:
		return c, ok, nil
	case 1:
		c.Scheme, c.Value, err = ParseAuthorization(h[0])
		if err == nil && c.Scheme == "DPoP" {
			c.Proof, err = proofOf(r)
		}
		return c, err == nil, err
	}
	return c, false, fmt.Errorf("%w: more than one Authorization header", ErrUnauthenticated)
}

// ParseAuthorization reads the value of an Authorization header, or of gRPC's
// authorization metadata. Only the schemes Bearer and DPoP are taken.
func ParseAuthorization(value string) (scheme string, token Secret, err error) {
	if len(value) > maxCredential+len("Bearer ") {
		return "", "", fmt.Errorf("%w: an Authorization header of %d bytes", ErrUnauthenticated, len(value))
	}
	scheme, raw, _ := strings.Cut(value, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		scheme = "Bearer"
	case strings.EqualFold(scheme, "DPoP"):
		scheme = "DPoP"
	default:
		return "", "", fmt.Errorf("%w: Authorization is of neither scheme Bearer nor DPoP", ErrUnauthenticated)
	}
	raw = strings.TrimLeft(raw, " ")
	if raw == "" || strings.IndexFunc(raw, notToken) >= 0 {
		return "", "", fmt.Errorf("%w: not a token", ErrUnauthenticated)
	}
	return scheme, Secret(raw), nil
}

// notToken reports what is not in b64token of RFC 6750.
func notToken(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/=", r))
}

// WriteError answers a request that Authorized refused.
func WriteError(w http.ResponseWriter, err error) {
	status, challenge := Challenge(err)
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(status), status)
}

// HandlerOption changes Handler.
type HandlerOption func(*handler) error

type handler struct {
	auth    Auth
	next    http.Handler
	request func(*http.Request) Request
	skip    func(*http.Request) bool
	path    []PathOption
	refuse  func(http.ResponseWriter, *http.Request, error)
	err     error // of an option: nothing passes
}

// WithRequest sets what a request asks for. Its path is normalized already.
// Default: RequestFrom with no service's name.
func WithRequest(f func(*http.Request) Request) HandlerOption {
	return func(h *handler) error { h.request = f; return fronts.Given(f, "WithRequest") }
}

// WithoutAuth lets the requests through for which f is true: health checks,
// public pages.
func WithoutAuth(f func(*http.Request) bool) HandlerOption {
	return func(h *handler) error { h.skip = f; return fronts.Given(f, "WithoutAuth") }
}

// WithRefusal answers refused requests in the place of WriteError.
func WithRefusal(f func(w http.ResponseWriter, r *http.Request, err error)) HandlerOption {
	return func(h *handler) error { h.refuse = f; return fronts.Given(f, "WithRefusal") }
}

// Handler lets only those requests through to next that a authorizes. The
// handler finds the caller's token with FromContext. What was refused is
// answered with 401, 403 or 503; a path that NormalizePath refuses with 400,
// before anything else is asked. If an option is nil, or was given nil, nothing
// passes: every request is answered with 500, and the function of WithRefusals
// gets an ErrInvalid.
func Handler(a Auth, next http.Handler, opts ...HandlerOption) http.Handler {
	h := &handler{
		auth: a, next: next,
		request: func(r *http.Request) Request { return Request{Action: r.Method, Resource: resourceOf(r)} },
		refuse:  func(w http.ResponseWriter, _ *http.Request, err error) { WriteError(w, err) },
	}
	err := fronts.Apply(h, opts)
	if err != nil {
		h.err = fault.Wrap("auth", "handler", "", fault.Mark(ErrInvalid, err))
	}
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.err != nil {
		h.tell(r, h.err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	normal, err := NormalizePath(r, h.path...)
	if err != nil {
		h.tell(r, err)
		h.refuse(w, r, err)
		return
	}
	r = normal
	if h.skip != nil && h.skip(r) {
		h.next.ServeHTTP(w, r)
		return
	}
	if nonce := nonceFor(h.auth, schemeOf(r)); nonce != "" {
		w.Header().Set("DPoP-Nonce", nonce)
	}
	ctx, err := AuthorizeHTTP(h.auth, r, h.request(r))
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	h.next.ServeHTTP(w, r.WithContext(ctx))
}

// tell says what was refused before the policy was asked.
func (h *handler) tell(r *http.Request, err error) {
	f, ok := h.auth.(*front)
	if ok {
		f.tell(r.Context(), Refusal{Err: err, Request: Request{Action: r.Method, Resource: r.RequestURI}})
	}
}

// AuthorizeHTTP authorizes one request and returns the context for its
// handler, which carries the credential and the token. It is Handler for those
// who have a middleware of their own; NormalizePath and RequestFrom come first
// where req speaks of the path.
func AuthorizeHTTP(a Auth, r *http.Request, req Request) (context.Context, error) {
	c, ok, bad := CredentialFromRequest(r)
	ctx := r.Context()
	if bad != nil {
		ctx = ContextWithCredential(ctx, Credential{Err: bad})
	} else if ok {
		ctx = ContextWithCredential(ctx, c)
	}
	t, err := a.Authorized(ctx, req)
	err = cmp.Or(err, bad)
	if err != nil {
		return nil, err
	}
	return ContextWithToken(ctx, t), nil
}
