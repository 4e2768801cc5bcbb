package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// standard are the claims of OpenID Connect Core section 5.1 that a scope asks
// for. They are taken from the Metadata of a user's account, by these names.
var standard = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale",
	},
	"email": {"email", "email_verified"},
	"phone": {"phone_number", "phone_number_verified"},
}

// claimsSupported lists what the metadata says of claims.
func claimsSupported() []string {
	all := []string{"sub", "updated_at"}
	for _, names := range standard {
		all = append(all, names...)
	}
	slices.Sort(all)
	return all
}

// serveUserInfo is OpenID Connect Core section 5.3. The token is taken from the
// Authorization header alone. There are no CORS headers: a program in a browser
// needs a server of its own (RFC 9700 section 2.6), or middleware around this
// handler.
func (i *Issuer) serveUserInfo(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return &oauthError{status: http.StatusMethodNotAllowed, code: "invalid_request", text: "GET or POST"}
	}
	scheme, raw, ok := credential(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.Header().Add("WWW-Authenticate", "DPoP algs=\""+strings.Join(jose.Asymmetric, " ")+"\"")
		return &oauthError{status: http.StatusUnauthorized, code: "invalid_token"}
	}
	t, err := i.check(r.Context(), raw)
	if err == nil {
		ok, err = i.fits(t, scheme, r)
		if err == nil && !ok {
			err = fmt.Errorf("%w: bound to another key", auth.ErrUnauthenticated)
		}
	}
	var e *oauthError
	switch {
	case errors.As(err, &e) && e.code == "invalid_dpop_proof": // RFC 9449 section 7.1
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
		return &oauthError{status: http.StatusUnauthorized, code: e.code, text: e.text}
	case errors.Is(err, fault.Unauthenticated):
		w.Header().Set("WWW-Authenticate", scheme+` error="invalid_token"`)
		return &oauthError{status: http.StatusUnauthorized, code: "invalid_token"}
	case err == nil && !t.HasScope("openid"):
		w.Header().Set("WWW-Authenticate", scheme+` error="insufficient_scope", scope="openid"`)
		return &oauthError{status: http.StatusForbidden, code: "insufficient_scope"}
	case err != nil:
		return err
	}
	user, err := i.account(r.Context(), t.Subject)
	if err == nil {
		answer(w, http.StatusOK, claimsOf(&user.Account, t))
	}
	return err
}

func claimsOf(user *Account, t *auth.Token) map[string]any {
	out := map[string]any{"sub": user.ID}
	for scope, names := range standard {
		if !t.HasScope(scope) {
			continue
		}
		for _, name := range names {
			value, there := user.Metadata[name]
			switch {
			case !there:
			case strings.HasSuffix(name, "_verified"):
				out[name] = value == "true"
			default:
				out[name] = value
			}
		}
	}
	if t.HasScope("profile") {
		out["updated_at"] = user.Updated.Unix()
	}
	return out
}

// credential reads the token of a request; two are none.
func credential(r *http.Request) (scheme, raw string, ok bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", "", false
	}
	scheme, raw, _ = strings.Cut(values[0], " ")
	raw = strings.TrimSpace(raw)
	for _, known := range []string{"Bearer", "DPoP"} {
		if strings.EqualFold(scheme, known) && raw != "" {
			return known, raw, true
		}
	}
	return "", "", false
}
