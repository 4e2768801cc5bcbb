package issuer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/micro/go-platform/auth/internal/remote"
	"github.com/micro/go-platform/internal/fault"
)

// asked is a checked authorization request (RFC 6749 section 4.1.1).
type asked struct {
	client   stored
	redirect string
	state    string
	grant    grant
}

// readAsked checks a request. shown tells whether the redirect URI is known to
// be the client's: before that, errors are shown and never sent anywhere.
func (i *Issuer) readAsked(ctx context.Context, q url.Values) (a asked, shown bool, err error) {
	if err := once(q); err != nil {
		return a, true, err
	}
	c, err := i.account(ctx, q.Get("client_id"))
	switch {
	case errors.Is(err, fault.NotFound), err == nil && (c.Type != Service || c.Disabled):
		return a, true, bad("invalid_request", "unknown client")
	case err != nil:
		return a, true, err
	}
	a.client, a.redirect, a.state = c, q.Get("redirect_uri"), q.Get("state")
	if !redirectOf(c.RedirectURIs, a.redirect) {
		return a, true, bad("invalid_request", "redirect_uri is not registered")
	}
	if q.Get("response_type") != "code" {
		return a, false, bad("unsupported_response_type", "only code")
	}
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 {
		return a, false, bad("invalid_request", "PKCE with S256 is required")
	}
	scopes, err := words(q.Get("scope"))
	if err != nil {
		return a, false, err
	}
	audience := cmp.Or(audienceOf(q), c.ID)
	if err := allowed(&c.Account, scopes, audience); err != nil {
		return a, false, err
	}
	if jkt := q.Get("dpop_jkt"); jkt != "" && len(jkt) != 43 {
		return a, false, bad("invalid_request", "dpop_jkt is no thumbprint")
	}
	if len(q.Get("nonce")) > 512 || len(a.state) > 4096 {
		return a, false, bad("invalid_request", "nonce or state too long")
	}
	a.grant = grant{
		Client: c.ID, Scopes: scopes, Audience: audience, Nonce: q.Get("nonce"),
		Redirect: a.redirect, Challenge: q.Get("code_challenge"), Key: q.Get("dpop_jkt"),
	}
	return a, false, nil
}

// redirectOf compares byte for byte, but for the port of a loopback address
// (RFC 8252 section 7.3).
func redirectOf(registered []string, uri string) bool {
	if slices.Contains(registered, uri) {
		return uri != ""
	}
	got, err := url.Parse(uri)
	if err != nil || got.Scheme != "http" || !remote.Loopback(got.Hostname()) || got.Hostname() == "localhost" {
		return false
	}
	for _, r := range registered {
		want, err := url.Parse(r)
		if err == nil && want.Scheme == "http" && want.Hostname() == got.Hostname() &&
			strings.Replace(uri, got.Host, want.Host, 1) == r {
			return true
		}
	}
	return false
}

// back sends the browser back to the client.
func (i *Issuer) back(w http.ResponseWriter, r *http.Request, a asked, values url.Values) error {
	u, err := url.Parse(a.redirect)
	if err != nil {
		return err
	}
	q := u.Query()
	maps.Copy(q, values)
	if a.state != "" {
		q.Set("state", a.state)
	}
	q.Set("iss", i.url) // RFC 9207: a client of several issuers sees whose answer it is
	u.RawQuery = q.Encode()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
	return nil
}

func (i *Issuer) refuse(w http.ResponseWriter, r *http.Request, a asked, shown bool, err error) error {
	var e *oauthError
	if shown || !errors.As(err, &e) {
		return err
	}
	return i.back(w, r, a, url.Values{"error": {e.code}, "error_description": {e.text}})
}

// serveAuthorize answers a browser that a client sent: with a code if the
// program knows who it is, with a page otherwise. The parameters prompt and
// max_age are OpenID Connect Core's, section 3.1.2.1.
func (i *Issuer) serveAuthorize(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	a, shown, err := i.readAsked(r.Context(), q)
	if err != nil {
		return i.refuse(w, r, a, shown, err)
	}
	prompt := strings.Fields(q.Get("prompt"))
	silent := slices.Contains(prompt, "none")
	if silent && len(prompt) > 1 {
		return i.refuse(w, r, a, false, bad("invalid_request", "prompt none and another"))
	}
	subject, ok := "", false
	if i.login != nil && !slices.Contains(prompt, "login") && !q.Has("max_age") { // when a session began isn't known
		subject, ok = i.login(r)
	}
	consent := ok && (a.impersonable() || slices.Contains(prompt, "consent"))
	switch {
	case !ok && silent:
		return i.back(w, r, a, url.Values{"error": {"login_required"}})
	case !ok:
		page(w, a, http.StatusOK, "")
		return nil
	case consent && silent:
		return i.back(w, r, a, url.Values{"error": {"consent_required"}})
	case consent:
		return i.askConsent(w, r, a, subject)
	}
	return i.grantTo(w, r, a, subject)
}

// serveLogin takes the form. The password is checked with each code that is
// given, so there is no session that another site could ride on.
func (i *Issuer) serveLogin(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	a, shown, err := i.readAsked(r.Context(), r.URL.Query())
	if err != nil {
		return i.refuse(w, r, a, shown, err)
	}
	if f.Get("action") == "cancel" {
		return i.back(w, r, a, url.Values{"error": {"access_denied"}})
	}
	if f.Has("consent") {
		return i.takeConsent(w, r, a, f.Get("consent"))
	}
	user, err := i.authenticateUser(r.Context(), i.from(r), f.Get("username"), f.Get("password"))
	var e *oauthError
	switch {
	case errors.As(err, &e) && e.retry > 0:
		w.Header().Set("Retry-After", e.retryAfter())
		page(w, a, e.status, "Too many attempts. Try again in "+e.retryAfter()+" seconds.")
	case errors.Is(err, fault.Unauthenticated):
		page(w, a, http.StatusUnauthorized, "Unknown user or wrong password.")
	case err != nil:
		return err
	default:
		return i.grantTo(w, r, a, user.ID)
	}
	return nil
}

// grantTo sends the browser back with a code for a user.
func (i *Issuer) grantTo(w http.ResponseWriter, r *http.Request, a asked, subject string) error {
	user, err := i.account(r.Context(), subject)
	switch {
	case errors.Is(err, fault.NotFound), err == nil && (user.Type != User || user.Disabled):
		return i.back(w, r, a, url.Values{"error": {"access_denied"}, "error_description": {"unknown user"}})
	case err != nil:
		return err
	}
	a.grant.Subject = subject
	code, err := i.newGrant(r.Context(), a.grant)
	if err != nil {
		return err
	}
	return i.back(w, r, a, url.Values{"code": {code}})
}
