package auth

import (
	"errors"
	"net/http"
	"strings"
)

// shownError is the error of a caller that used the scheme DPoP: what it is told
// is about that scheme.
type shownError struct{ error }

func (e *shownError) Unwrap() error { return e.error }

// proofAlgorithms are those of the parameter algs (RFC 9449 section 7.1).
const proofAlgorithms = `algs="ES256 EdDSA PS256 RS256"`

// Challenge translates an error of Authorized into what an HTTP caller may
// know: a status, 400 (ErrPath), 401, 403 or 503, and the WWW-Authenticate
// header, empty for 400 and 503. It offers the schemes Bearer (RFC 6750 section
// 3) and DPoP (RFC 9449 section 7.1), and says what was wrong with the one that
// was used. Nothing of the error's text goes out.
func Challenge(err error) (status int, wwwAuthenticate string) {
	switch {
	case errors.Is(err, ErrPath):
		return http.StatusBadRequest, ""
	case errors.Is(err, ErrUnavailable):
		return http.StatusServiceUnavailable, ""
	case errors.Is(err, ErrNoCredential):
		return http.StatusUnauthorized, "Bearer, DPoP " + proofAlgorithms
	case errors.Is(err, ErrNonce):
		return http.StatusUnauthorized, wrong(true, "use_dpop_nonce", "the proof needs the nonce of the header DPoP-Nonce")
	case errors.Is(err, ErrProof):
		return http.StatusUnauthorized, wrong(true, "invalid_dpop_proof", "the token needs a good proof of possession")
	case errors.Is(err, ErrUnauthenticated):
		return http.StatusUnauthorized, wrong(usedDPoP(err), "invalid_token", "the token is not accepted")
	case errors.Is(err, ErrDenied):
		return http.StatusForbidden, wrong(usedDPoP(err), "insufficient_scope", "the token does not allow this")
	}
	return http.StatusServiceUnavailable, ""
}

func usedDPoP(err error) bool {
	var e *shownError
	return errors.As(err, &e)
}

// wrong is a challenge with an error for the scheme that was used, and the offer
// of the other.
func wrong(dpop bool, code, text string) string {
	say := `error="` + code + `", error_description="` + text + `"`
	if dpop {
		return "DPoP " + say + ", " + proofAlgorithms + ", Bearer"
	}
	return "Bearer " + say + ", DPoP " + proofAlgorithms
}

// schemeOf is the scheme of a request's Authorization header, if it is DPoP.
func schemeOf(r *http.Request) string {
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "DPoP") {
		return "DPoP"
	}
	return ""
}
