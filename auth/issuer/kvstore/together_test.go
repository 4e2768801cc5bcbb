package kvstore_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/issuer/kvstore"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvredis "github.com/micro/go-platform/kv/redis"
)

// fetch returns the body of a 200.
func fetch(t *testing.T, r *http.Request) []byte {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", r.URL, resp.StatusCode, body, err)
	}
	return body
}

func get(t *testing.T, u string) []byte {
	r, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fetch(t, r)
}

// token asks one of the issuers for a token.
func token(t *testing.T, base string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, base+"/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("orders", "secret")
	var out struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(fetch(t, r), &out); err != nil {
		t.Fatal(err)
	}
	return out.Access
}

// kid reads which key signed.
func kid(t *testing.T, raw string) string {
	t.Helper()
	m, err := jose.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m.KeyID
}

// Two processes behind a balancer, on one Redis: whoever asks either of them
// notices nothing of a rotation, and soon both sign with the new key
// and know none that was revoked.
func TestTwoIssuersOnOneRedisAreOne(t *testing.T) {
	addr := servertest.SharedRedis(t).Addr()
	var issuers []*issuer.Issuer
	var bases []string
	for n := range 2 {
		s, err := kv.New(kvredis.Backend(addr), kv.WithNamespace("together"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		state, err := kvstore.New(s)
		if err != nil {
			t.Fatal(err)
		}
		is, err := issuer.New(issuer.WithURL("http://127.0.0.1"), issuer.WithStore(state), issuer.WithHashRounds(1000))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if err := is.Create(t.Context(), issuer.Account{ID: "orders", Type: issuer.Service}, "secret"); err != nil {
				t.Fatal(err)
			}
		}
		srv := httptest.NewServer(is)
		defer srv.Close()
		issuers, bases = append(issuers, is), append(bases, srv.URL)
	}
	defer http.DefaultClient.CloseIdleConnections()

	old := token(t, bases[0])
	token(t, bases[1])
	if err := issuers[0].RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	rotated := time.Now()
	refused, fresh := 0, [2]string{}
	for n := 0; n < 256 || fresh[0] == "" || fresh[1] == ""; n++ {
		from := n % 2
		asked := time.Since(rotated)
		raw := token(t, bases[from])
		if id := kid(t, raw); id != kid(t, old) {
			fresh[from] = id
		} else if asked > 30*time.Second { // they have a second; a machine that does something else gets more
			t.Fatalf("issuer %d signs with the old key %s after the rotation", from, asked)
		}
		keys, _, err := jose.ParseSet(get(t, bases[1-from]+"/jwks"))
		if err != nil {
			t.Fatal(err)
		}
		v := jose.Verifier{Issuer: "http://127.0.0.1", Algorithms: []string{jose.EdDSA}, Keys: jose.Keys(keys), Types: []string{"at+jwt"}}
		if _, err := v.Verify(t.Context(), raw); err != nil {
			refused++
		}
	}
	if refused > 0 || fresh[0] != fresh[1] {
		t.Errorf("%d valid tokens refused by the other's key set; new keys %v", refused, fresh)
	}

	if err := issuers[1].RevokeKey(t.Context(), kid(t, old)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); strings.Contains(string(get(t, bases[0]+"/jwks")), fmt.Sprintf("%q", kid(t, old))); {
		if time.Now().After(deadline) {
			t.Fatal("the other issuer publishes a key that was revoked")
		}
	}
}
