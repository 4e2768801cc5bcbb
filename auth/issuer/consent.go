package issuer

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
)

// consent is a question that a user was asked: whether a client may have what
// this request asks for. Only the same user can answer it, once.
type consent struct {
	Subject string    `json:"subject"`
	Query   string    `json:"query"` // digest of the request
	Ends    time.Time `json:"ends"`
}

const consentLife = 10 * time.Minute

func consentKey(id string) string { return "consent/" + digest(id) }

// impersonable reports whether another program could be the client: a public
// one is known by its redirect URI alone, and every program on the machine can
// listen there or claim its scheme. So its user is asked each time (RFC 8252
// section 8.6). An https address is one that only its owner can serve.
func (a *asked) impersonable() bool {
	return a.client.Public && !strings.HasPrefix(a.redirect, "https://")
}

// askConsent shows the question. Its id is the proof that whoever answers has
// seen it: another site can make a browser post, but not read the page.
func (i *Issuer) askConsent(w http.ResponseWriter, r *http.Request, a asked, subject string) error {
	id := rand.Text()
	c := consent{Subject: subject, Query: digest(r.URL.RawQuery), Ends: i.now().Add(consentLife).UTC()}
	err := i.store.Put(r.Context(), consentKey(id), encode(c), 0, consentLife)
	if err != nil {
		return fault.Mark(auth.ErrUnavailable, err)
	}
	show(w, http.StatusOK, shown{Client: a.client.ID, Scopes: a.grant.Scopes, Subject: subject, Consent: id})
	return nil
}

// takeConsent takes the answer.
func (i *Issuer) takeConsent(w http.ResponseWriter, r *http.Request, a asked, id string) error {
	subject, ok := "", false
	if i.login != nil {
		subject, ok = i.login(r)
	}
	if !ok {
		page(w, a, http.StatusUnauthorized, "Your session is over.")
		return nil
	}
	b, version, err := i.store.Get(r.Context(), consentKey(id))
	var c consent
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	switch {
	case errors.Is(err, fault.NotFound), err == nil && (c.Subject != subject || c.Query != digest(r.URL.RawQuery) || !i.now().Before(c.Ends)):
		return i.serveAuthorize(w, r) // asks again
	case err == nil: // over from now on: of those who answer at once, one gets a code
		err = i.store.Put(r.Context(), consentKey(id), []byte("{}"), version, consentLife)
	}
	if errors.Is(err, fault.Conflict) {
		return i.serveAuthorize(w, r)
	}
	if err != nil {
		return fault.Mark(auth.ErrUnavailable, err)
	}
	return i.grantTo(w, r, a, subject)
}
