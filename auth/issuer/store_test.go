package issuer_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

// Two issuers on one store are one issuer.
func TestOneCodeGivesOneTokenWhoeverAsks(t *testing.T) {
	store := issuer.Memory()
	one := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithRefreshGrace(0)))
	two := newIssuer(t, issuer.WithStore(store), issuer.WithRefreshGrace(0))
	for round := range 20 {
		form := exchangeForm(code(t, one, "web"))
		if round%2 == 1 { // also from the refresh token of a grant
			_, got := post(two, "/token", "web", "web-secret", form)
			form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
		}
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				is := []http.Handler{one, two}[i%2]
				switch status, got := post(is, "/token", "web", "web-secret", form); {
				case status == 200:
					won.Add(1)
				case status != 400 || got["error"] != "invalid_grant":
					t.Errorf("%d %v", status, got)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("round %d: %d of 32 got a token, want 1", round, n)
		}
	}
}

func TestIssuersOnOneStoreShareEverything(t *testing.T) {
	store := issuer.Memory()
	one := browser(t, newIssuer(t, issuer.WithStore(store)))
	two := newIssuer(t, issuer.WithStore(store))
	_, got := post(one, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
	token := url.Values{"token": {got["access_token"].(string)}}
	if _, in := post(two, "/introspect", "orders", "orders-secret", token); in["active"] != true {
		t.Errorf("the other issuer says %v", in)
	}
	post(two, "/revoke", "orders", "orders-secret", token)
	if _, in := post(one, "/introspect", "orders", "orders-secret", token); in["active"] != false {
		t.Errorf("revoked at the other: %v", in)
	}
	a, _ := one.KeySet(t.Context())
	b, _ := two.KeySet(t.Context())
	if !bytes.Equal(a, b) {
		t.Errorf("keys %s and %s", a, b)
	}
}

func TestKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := issuer.Memory()
		one := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithKeyLife(3*time.Hour)))
		two := newIssuer(t, issuer.WithStore(store), issuer.WithKeyLife(3*time.Hour))
		ids := func(is *issuer.Issuer) map[string]bool {
			b, err := is.KeySet(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var set struct{ Keys []struct{ Kid string } }
			json.Unmarshal(b, &set)
			out := map[string]bool{}
			for _, k := range set.Keys {
				out[k.Kid] = true
			}
			return out
		}
		kid := func(is *issuer.Issuer) string {
			_, got := post(is, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
			head, _, _ := strings.Cut(got["access_token"].(string), ".")
			b, _ := base64.RawURLEncoding.DecodeString(head)
			var h struct{ Kid string }
			json.Unmarshal(b, &h)
			return h.Kid
		}
		known := ids(two) // as a client that fetches the set every five minutes has it
		signers, most := map[string]bool{}, 0
		for range 12 * 12 { // half a day
			for _, is := range []*issuer.Issuer{one, two} {
				k := kid(is)
				signers[k] = true
				if !known[k] {
					t.Fatalf("a key signs that was not published five minutes before")
				}
			}
			known = ids(two)
			most = max(most, len(known))
			time.Sleep(5 * time.Minute)
		}
		if len(signers) < 4 || len(signers) > 5 || most > 2 {
			t.Errorf("%d keys signed in half a day, at most %d published at once; want one in three hours and two", len(signers), most)
		}
		before := kid(one)
		_, old := post(one, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
		time.Sleep(2 * time.Second)
		if err := two.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_, fresh := post(two, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
		if kid(two) == before {
			t.Error("RotateKeys left the key signing")
		}
		for name, got := range map[string]map[string]any{"old": old, "new": fresh} {
			if _, in := post(one, "/introspect", "orders", "orders-secret", url.Values{"token": {got["access_token"].(string)}}); in["active"] != true {
				t.Errorf("the %s token right after the rotation, at the other issuer: %v", name, in)
			}
		}
	})
}

// spy is a store that remembers what was written.
type spy struct {
	issuer.Store
	mu   sync.Mutex
	seen []byte
}

func (s *spy) Put(ctx context.Context, key string, value []byte, version uint64, ttl time.Duration) error {
	s.mu.Lock()
	s.seen = append(append(append(s.seen, key...), ' '), value...)
	s.mu.Unlock()
	return s.Store.Put(ctx, key, value, version, ttl)
}

func TestStoreHoldsNoSecret(t *testing.T) {
	store := &spy{Store: issuer.Memory()}
	seal := bytes.Repeat([]byte{7}, 32)
	is := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithSealKey(seal)))
	c := code(t, is, "web")
	_, first := post(is, "/token", "web", "web-secret", exchangeForm(c))
	_, second := post(is, "/token", "web", "web-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}})
	post(is, "/revoke", "web", "web-secret", url.Values{"token": {second["access_token"].(string)}})
	secrets := []string{"web-secret", "orders-secret", "alice-password", `"seed"`}
	for _, s := range []any{c, first["refresh_token"], second["refresh_token"], first["access_token"], second["access_token"]} {
		secrets = append(secrets, strings.Split(s.(string), ".")[strings.Count(s.(string), ".")])
	}
	for _, s := range secrets {
		if bytes.Contains(store.seen, []byte(s)) {
			t.Errorf("the store was given %q", s)
		}
	}
	if _, err := newIssuer(t, issuer.WithStore(store), issuer.WithSealKey(bytes.Repeat([]byte{8}, 32))).KeySet(t.Context()); err == nil {
		t.Error("another seal key opens the keys")
	}
	if _, err := newIssuer(t, issuer.WithStore(store), issuer.WithSealKey(seal)).KeySet(t.Context()); err != nil {
		t.Errorf("the same seal key: %v", err)
	}
}

// broken is a store that is unavailable.
type broken struct{}

var errAway = fmt.Errorf("%w: connection refused", auth.ErrUnavailable)

func (broken) Get(context.Context, string) ([]byte, uint64, error) { return nil, 0, errAway }

func (broken) Put(context.Context, string, []byte, uint64, time.Duration) error { return errAway }

func (broken) Delete(context.Context, string) error { return errAway }

func (broken) List(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", errAway) }
}

func TestStoreAwayLetsNobodyIn(t *testing.T) {
	is := newIssuer(t, issuer.WithStore(broken{}))
	for path, form := range map[string]url.Values{"/token": {"grant_type": {"client_credentials"}}, "/introspect": {"token": {"x"}}, "/revoke": {"token": {"x"}}} {
		if status, got := post(is, path, "orders", "orders-secret", form); status != 503 || strings.Contains(fmt.Sprint(got), "refused") {
			t.Errorf("%s: %d %v, want 503 and no details", path, status, got)
		}
	}
	if _, err := is.Search(t.Context(), issuer.Query{}); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("Search: %v", err)
	}
	if _, err := auth.New(issuer.Backend(is, "orders", "x"), auth.WithService("orders")); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("New: %v", err)
	}
}

// garbled is a store whose records of a kind can't be read.
type garbled struct {
	issuer.Store
	prefix string
}

func (s *garbled) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	b, version, err := s.Store.Get(ctx, key)
	if s.prefix != "" && strings.HasPrefix(key, s.prefix) && err == nil {
		b = []byte("{")
	}
	return b, version, err
}

func TestRecordsThatCantBeRead(t *testing.T) {
	for _, prefix := range []string{"keys", "account/", "grant/", "consent/"} {
		store := &garbled{Store: issuer.Memory()}
		first := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithLogin(session)))
		_, got := begin(t, first, "web")
		_, body := visit(first, "alice", request("web", callback, "prompt", "consent"), nil)
		store.prefix = prefix
		is := newIssuer(t, issuer.WithStore(store), issuer.WithLogin(session)) // it has read nothing yet
		refreshed, _ := refreshWith(is, "web", got["refresh_token"])
		introspected, in := post(is, "/introspect", "web", "web-secret", url.Values{"token": {fmt.Sprint(got["access_token"])}})
		consented, _ := visit(is, "alice", request("web", callback, "prompt", "consent"), url.Values{"consent": consentField.FindStringSubmatch(body)[1:]})
		updated := is.Update(t.Context(), "alice", func(*issuer.Account) error { return nil })
		rotated := is.RotateKeys(t.Context())
		for what, c := range map[string]struct{ failed, want bool }{
			"a refresh":     {refreshed == 503, prefix != "consent/"},
			"introspection": {introspected == 503 && in["active"] == nil, prefix != "consent/"},
			"consent":       {consented.StatusCode == 503, prefix == "account/" || prefix == "consent/"},
			"Update":        {updated != nil, prefix == "account/"},
			"RotateKeys":    {rotated != nil, prefix == "keys"},
		} {
			if c.failed != c.want {
				t.Errorf("%s can't be read: %s failed %t, want %t", prefix, what, c.failed, c.want)
			}
		}
	}
}

// keeper is a store that drops nothing when its time is over, as the contract
// allows.
type keeper struct{ issuer.Store }

func (s keeper) Put(ctx context.Context, key string, value []byte, version uint64, _ time.Duration) error {
	return s.Store.Put(ctx, key, value, version, 0)
}

// pair is a store in which two reads of a consent meet.
type pair struct {
	issuer.Store
	met sync.WaitGroup
}

func (s *pair) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	b, version, err := s.Store.Get(ctx, key)
	if strings.HasPrefix(key, "consent/") {
		s.met.Done()
		s.met.Wait()
	}
	return b, version, err
}

func TestTwoAnswersToOneQuestion(t *testing.T) {
	store := &pair{Store: issuer.Memory()}
	store.met.Add(2)
	is := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithLogin(session)))
	q := request("web", callback, "prompt", "consent")
	_, body := visit(is, "alice", q, nil)
	yes := url.Values{"consent": consentField.FindStringSubmatch(body)[1:]}
	var codes, questions atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			resp, body := visit(is, "alice", q, yes)
			if sent(resp).Has("code") {
				codes.Add(1)
			}
			if consentField.MatchString(body) {
				questions.Add(1)
			}
		})
	}
	wg.Wait()
	if codes.Load() != 1 || questions.Load() != 1 {
		t.Errorf("two answers at once gave %d codes and %d new questions, want one of each", codes.Load(), questions.Load())
	}
}
