package oauth2

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	xoauth2 "golang.org/x/oauth2"

	"github.com/micro/go-platform/auth/internal/remote"
	"github.com/micro/go-platform/internal/strictjson"
)

// metadata is what a server says of itself (RFC 8414 section 2), as far as it is
// used here.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Introspection string   `json:"introspection_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	SaysIssuer    bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207

	keys *remote.Keys
}

// keySet is that of the newest jwks_uri: metadata that is fetched again doesn't
// drop the keys.
type keySet struct {
	url string
	set *remote.Keys
}

// maxDepth bounds how deep a server's answers may nest.
const maxDepth = 32

// parseMetadata checks a document: it must be about this issuer (RFC 8414
// section 3.3), and none of its URLs may be less safe than the issuer's own.
func (s *server) parseMetadata(b []byte) (m metadata, err error) {
	if err := strictjson.Unmarshal(b, maxDepth, &m); err != nil {
		return m, err
	}
	if m.Issuer != s.issuer {
		return m, fmt.Errorf("the metadata is of %.200q, want %q", m.Issuer, s.issuer)
	}
	for _, u := range []string{m.Authorization, m.Token, m.Introspection, m.Revocation, m.JWKS} {
		if u == "" {
			continue
		}
		p, err := url.Parse(u)
		if err != nil || p.Host == "" || p.Scheme != "https" && !(p.Scheme == "http" && remote.SameOrigin(u, s.issuer)) {
			return m, fmt.Errorf("the metadata has the URL %.200q", u)
		}
	}
	if m.JWKS != "" {
		if s.keys.url != m.JWKS {
			s.keys.url = m.JWKS
			s.keys.set = remote.NewKeys(s.life, s.clientFor(m.JWKS), fetchTimeout, m.JWKS)
		}
		m.keys = s.keys.set
	}
	return m, nil
}

// clientFor returns the HTTP client for a URL of the metadata.
func (s *server) clientFor(u string) *http.Client {
	if remote.SameOrigin(u, s.issuer) {
		return s.client
	}
	return s.foreign
}

// style is how the client shows its secret. It is known from the metadata, so
// that nobody has to find out by failing.
func (s *server) style(m *metadata) xoauth2.AuthStyle {
	if s.secret == "" { // a public client only says its name
		return xoauth2.AuthStyleInParams
	}
	if !slices.Contains(m.AuthMethods, "client_secret_basic") && slices.Contains(m.AuthMethods, "client_secret_post") {
		return xoauth2.AuthStyleInParams
	}
	return xoauth2.AuthStyleInHeader // the default of RFC 8414
}
