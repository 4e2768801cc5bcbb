package issuer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/body"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// oauthError is an error as RFC 6749 section 5.2 has it.
type oauthError struct {
	status int
	code   string
	text   string
	retry  time.Duration
	kind   error // of package auth, for callers in this process
}

func (e *oauthError) Error() string {
	if e.text == "" {
		return e.code
	}
	return e.code + ": " + e.text
}

func (e *oauthError) Unwrap() error { return e.kind }

// retryAfter is in whole seconds, rounded up.
func (e *oauthError) retryAfter() string {
	return strconv.Itoa(int((e.retry + time.Second - 1) / time.Second))
}

func bad(code, format string, args ...any) error {
	kind := auth.ErrUnauthenticated
	switch code {
	case "invalid_request", "invalid_scope", "invalid_target", "invalid_dpop_proof":
		kind = auth.ErrInvalid
	case "unsupported_grant_type":
		kind = auth.ErrUnsupported
	case "unauthorized_client", "access_denied":
		kind = auth.ErrDenied
	}
	return &oauthError{status: http.StatusBadRequest, code: code, text: fmt.Sprintf(format, args...), kind: kind}
}

func tooMany(wait time.Duration) error {
	return &oauthError{status: http.StatusTooManyRequests, code: "invalid_client", text: "too many wrong secrets", retry: wait, kind: auth.ErrUnauthenticated}
}

// busy is for callers who had to wait too long for their turn.
func busy() error {
	return &oauthError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", retry: time.Second, kind: auth.ErrUnavailable}
}

// fail answers with an error. What went wrong inside stays inside.
func (i *Issuer) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *oauthError
	switch {
	case errors.As(err, &e):
	case errors.Is(err, fault.Unauthenticated): // the client's own credentials
		e = &oauthError{status: http.StatusUnauthorized, code: "invalid_client"}
	case r.Context().Err() != nil: // the caller left: nobody reads an answer, and strangers could fill the log
		e = &oauthError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable"}
	default:
		i.log.Error("auth/issuer: request failed", "path", r.URL.Path, "error", err)
		e = &oauthError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", retry: time.Second}
	}
	if e.status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="oauth"`)
	}
	if e.retry > 0 {
		w.Header().Set("Retry-After", e.retryAfter())
	}
	answer(w, e.status, map[string]any{"error": e.code, "error_description": e.text})
}

func answer(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// What is read of a request's body, and for how long.
const (
	maxForm    = 64 << 10
	formWithin = 15 * time.Second
)

// form reads the parameters of a POST. None may occur twice (RFC 6749 section
// 3.2), and none is taken from the query, where logs would keep it.
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &oauthError{status: http.StatusMethodNotAllowed, code: "invalid_request", text: "POST only", kind: auth.ErrInvalid}
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, bad("invalid_request", "the body must be a form")
	}
	read := body.Bound(w, r, maxForm, formWithin)
	err := r.ParseForm()
	if err != nil {
		return nil, bad("invalid_request", "the form can't be read")
	}
	read()
	return r.PostForm, once(r.PostForm)
}

// caller reads the form of a request, and authenticates the client that sent it.
func (i *Issuer) caller(w http.ResponseWriter, r *http.Request) (f url.Values, c stored, err error) {
	f, err = form(w, r)
	if err == nil {
		c, err = i.client(r, f)
	}
	return f, c, err
}

// audienceOf is whom a token is asked for: in the parameter of RFC 8693, or in that
// of RFC 8707.
func audienceOf(f url.Values) string { return cmp.Or(f.Get("audience"), f.Get("resource")) }

func once(v url.Values) error {
	for name, values := range v {
		if len(values) > 1 {
			return bad("invalid_request", "%.40q occurs more than once", name)
		}
	}
	return nil
}

// client authenticates who asks: by HTTP Basic, by client_id and client_secret
// in the form, by an assertion, or not at all if it is a public client.
func (i *Issuer) client(r *http.Request, f url.Values) (stored, error) {
	id, secret, basic := r.BasicAuth()
	if f.Has("client_assertion") || f.Has("client_assertion_type") {
		if basic || f.Has("client_secret") {
			return stored{}, bad("invalid_request", "two ways of client authentication")
		}
		return i.asserted(r, f)
	}
	if basic {
		var err, err2 error
		id, err = url.QueryUnescape(id) // RFC 6749 section 2.3.1
		secret, err2 = url.QueryUnescape(secret)
		if err != nil || err2 != nil {
			return stored{}, fmt.Errorf("%w: escaping", auth.ErrUnauthenticated)
		}
		if f.Get("client_secret") != "" || f.Get("client_id") != "" && f.Get("client_id") != id {
			return stored{}, bad("invalid_request", "two ways of client authentication")
		}
	} else {
		id, secret = f.Get("client_id"), f.Get("client_secret")
	}
	if id == "" {
		return stored{}, fmt.Errorf("%w: no client", auth.ErrUnauthenticated)
	}
	if !basic && secret == "" {
		s, err := i.account(r.Context(), id)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return stored{}, err
		}
		if err != nil || !s.Public || s.Disabled {
			return stored{}, fmt.Errorf("%w: unknown client or no secret", auth.ErrUnauthenticated)
		}
		return s, nil
	}
	return i.authenticateClient(r.Context(), i.from(r), id, secret)
}

func (i *Issuer) routes() http.Handler {
	m := http.NewServeMux()
	metadata := http.HandlerFunc(i.metadata)
	m.Handle("GET "+i.path+"/.well-known/openid-configuration", metadata)
	m.Handle("GET /.well-known/oauth-authorization-server"+i.path, metadata)
	if i.path != "" {
		m.Handle("GET "+i.path+"/.well-known/oauth-authorization-server", metadata)
	}
	m.Handle("GET "+i.path+"/jwks", i.endpoint(i.serveKeys))
	m.Handle(i.path+"/token", i.endpoint(i.serveToken))
	m.Handle(i.path+"/introspect", i.endpoint(i.serveIntrospect))
	m.Handle(i.path+"/revoke", i.endpoint(i.serveRevoke))
	m.Handle(i.path+"/userinfo", i.endpoint(i.serveUserInfo))
	m.Handle("GET "+i.path+"/authorize", i.endpoint(i.serveAuthorize))
	m.Handle("POST "+i.path+"/authorize", i.endpoint(i.serveLogin))
	return m
}

// endpoint answers with the errors of serve.
func (i *Issuer) endpoint(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err != nil {
			i.fail(w, r, err)
		}
	})
}

func (i *Issuer) metadata(w http.ResponseWriter, _ *http.Request) {
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	json.NewEncoder(w).Encode(map[string]any{
		"issuer":                                        i.url,
		"authorization_endpoint":                        i.url + "/authorize",
		"token_endpoint":                                i.url + "/token",
		"introspection_endpoint":                        i.url + "/introspect",
		"revocation_endpoint":                           i.url + "/revoke",
		"jwks_uri":                                      i.url + "/jwks",
		"response_types_supported":                      []string{"code"},
		"response_modes_supported":                      []string{"query"},
		"grant_types_supported":                         []string{"authorization_code", "client_credentials", "refresh_token", grantExchange},
		"code_challenge_methods_supported":              []string{"S256"},
		"token_endpoint_auth_methods_supported":         append(slices.Clone(methods), "none"),
		"introspection_endpoint_auth_methods_supported": methods,
		"revocation_endpoint_auth_methods_supported":    append(slices.Clone(methods), "none"),
		"subject_types_supported":                       []string{"public"},
		"id_token_signing_alg_values_supported":         algorithms,
		"scopes_supported":                              []string{"openid", "offline_access", "profile", "email", "phone"},
		"claims_supported":                              claimsSupported(),
		"userinfo_endpoint":                             i.url + "/userinfo",
		"tls_client_certificate_bound_access_tokens":    true,
		"dpop_signing_alg_values_supported":             jose.Asymmetric,

		"token_endpoint_auth_signing_alg_values_supported":         jose.Asymmetric,
		"introspection_endpoint_auth_signing_alg_values_supported": jose.Asymmetric,
		"revocation_endpoint_auth_signing_alg_values_supported":    jose.Asymmetric,
		"prompt_values_supported":                                  []string{"none", "login", "consent"},
		"authorization_response_iss_parameter_supported":           true,
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, r *http.Request) error {
	set, err := i.KeySet(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "max-age=60")
	w.Write(set)
	return nil
}

// words splits a scope parameter and checks the names.
func words(scope string) ([]string, error) {
	all := strings.Fields(scope)
	for _, s := range all {
		if !scopeName(s) {
			return nil, bad("invalid_scope", "a scope has characters that none may have")
		}
	}
	return all, nil
}
