package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

// published returns the ids and algorithms of the key set.
func published(t *testing.T, is *issuer.Issuer) (ids, algs []string) {
	t.Helper()
	b, err := is.KeySet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ Kid, Alg string } }
	if err := json.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		ids, algs = append(ids, k.Kid), append(algs, k.Alg)
	}
	return ids, algs
}

// own asks for a token of the client orders.
func own(t *testing.T, is *issuer.Issuer) (raw, kid string) {
	t.Helper()
	status, got := post(is, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
	if status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	raw = got["access_token"].(string)
	return raw, fmt.Sprint(part(t, raw, 0)["kid"])
}

func active(is *issuer.Issuer, raw string) bool { return activeAs(is, "orders", raw) }

// activeAs tells what a client hears of a token.
func activeAs(is http.Handler, client string, raw any) bool {
	_, in := post(is, "/introspect", client, client+"-secret", url.Values{"token": {fmt.Sprint(raw)}})
	return in["active"] == true
}

func TestARevokedKeyIsOverEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := issuer.Memory()
		one, two := browser(t, newIssuer(t, issuer.WithStore(store))), newIssuer(t, issuer.WithStore(store))
		bad, leaked := own(t, one)
		own(t, two)
		if err := two.RevokeKey(t.Context(), "x"); !errors.Is(err, issuer.ErrNotFound) {
			t.Errorf("RevokeKey of an unknown one: %v, want ErrNotFound", err)
		}
		if !active(two, bad) {
			t.Fatal("inactive before its key was revoked")
		}
		if err := two.RevokeKey(t.Context(), leaked); err != nil {
			t.Fatal(err)
		}
		if ids, _ := published(t, two); slices.Contains(ids, leaked) || len(ids) != 1 || active(two, bad) {
			t.Errorf("at once, where it was revoked: %v, active %t", ids, active(two, bad))
		}
		fresh, kid := own(t, two)
		time.Sleep(21 * time.Millisecond) // a set is read again for an unknown key after 20 ms
		if kid == leaked || !active(one, fresh) {
			t.Errorf("the next token: key %s, active at the other issuer %t", kid, active(one, fresh))
		}
		time.Sleep(time.Second)
		if ids, _ := published(t, one); slices.Contains(ids, leaked) || active(one, bad) {
			t.Errorf("a second later, at the other issuer: %v, active %t", ids, active(one, bad))
		}
		if _, other := own(t, one); other != kid {
			t.Errorf("the other issuer signs with %s, want %s", other, kid)
		}
		if err := one.RevokeKey(t.Context(), leaked); !errors.Is(err, issuer.ErrNotFound) {
			t.Errorf("RevokeKey again: %v, want ErrNotFound", err)
		}

		// One that doesn't sign any more takes nothing else with it, and when the
		// one that signs goes, it doesn't sign again.
		if err := one.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_, newest := own(t, one)
		if err := one.RevokeKey(t.Context(), newest); err != nil {
			t.Fatal(err)
		}
		if _, after := own(t, one); after == newest || after == kid {
			t.Errorf("after the revocation of %s: signed with %s, an older one is %s", newest, after, kid)
		}
		if !active(one, fresh) {
			t.Error("a token of the older key became inactive")
		}
		_, signs := own(t, one)
		if err := one.RevokeKey(t.Context(), kid); err != nil {
			t.Fatal(err)
		}
		if _, after := own(t, one); after != signs || active(one, fresh) {
			t.Errorf("after the revocation of the older one: signed with %s, want %s; its token active %t", after, signs, active(one, fresh))
		}
	})
}

func TestAKeyThatIsToComeMayBeRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t, issuer.WithKeyLife(time.Hour)))
		_, first := own(t, is)
		time.Sleep(51 * time.Minute)
		_, still := own(t, is)
		ids, _ := published(t, is)
		if still != first || len(ids) != 2 {
			t.Fatalf("nine minutes before its end: signs %s, published %v, want %s and one to come", still, ids, first)
		}
		if err := is.RevokeKey(t.Context(), ids[1]); err != nil {
			t.Fatal(err)
		}
		if _, kid := own(t, is); kid != first {
			t.Errorf("signs %s, want %s on", kid, first)
		}
		time.Sleep(time.Second)
		own(t, is) // announces the one that takes its place
		time.Sleep(20 * time.Minute)
		if _, kid := own(t, is); kid == first || kid == ids[1] {
			t.Errorf("after its hour %s signs, want a third", kid)
		}
	})
}

func TestAKeyThatIsToComeTakesOverInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t, issuer.WithKeyLife(time.Hour)))
		_, first := own(t, is)
		time.Sleep(51 * time.Minute)
		own(t, is)
		ids, _ := published(t, is)
		if len(ids) != 2 {
			t.Fatalf("published %v, want one to come", ids)
		}
		if err := is.RevokeKey(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if _, kid := own(t, is); kid == first || kid == ids[1] {
			t.Errorf("%s signs before its time, or after its revocation", kid)
		}
		time.Sleep(11 * time.Minute)
		if _, kid := own(t, is); kid != ids[1] {
			t.Errorf("%s signs, want the one that was to come, %s", kid, ids[1])
		}
		// One that is to come may have leaked with the one that is rotated away.
		time.Sleep(52 * time.Minute)
		own(t, is)
		ids, _ = published(t, is)
		pending := ids[len(ids)-1]
		if err := is.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now, _ := published(t, is); slices.Contains(now, pending) || len(now) != len(ids) {
			t.Errorf("after RotateKeys: %v, before: %v", now, ids)
		}
	})
}

func TestManyIssuersBeginAtOnce(t *testing.T) {
	store := issuer.Memory()
	first := newIssuer(t, issuer.WithStore(store))
	var wg sync.WaitGroup
	for range 8 {
		is := newIssuer(t, issuer.WithStore(store))
		wg.Go(func() {
			for range 20 {
				if err := is.RotateKeys(t.Context()); err != nil {
					t.Errorf("RotateKeys: %v", err)
				}
			}
		})
		wg.Go(func() {
			if _, err := is.KeySet(t.Context()); err != nil {
				t.Errorf("KeySet: %v", err)
			}
		})
	}
	wg.Wait()
	if ids, _ := published(t, first); len(ids) != 2 {
		t.Errorf("published %d keys, want the first one and the last that was to come", len(ids))
	}
}

func TestAnOldKeyRetiresWithItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t))
		_, old := own(t, is)
		if err := is.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ids, _ := published(t, is); len(ids) != 2 {
			t.Errorf("right after RotateKeys: %v, want both", ids)
		}
		// Ten minutes for the last token, five for clocks that differ.
		time.Sleep(15*time.Minute - time.Second)
		if ids, _ := published(t, is); !slices.Contains(ids, old) {
			t.Error("gone while its last token lives")
		}
		time.Sleep(2 * time.Second)
		if ids, _ := published(t, is); slices.Contains(ids, old) {
			t.Error("published after its last token has expired")
		}
	})
}

// Whatever the moment, a token of one issuer is good at the other, and its key
// stands in the other's set.
func TestRotationIsSeenByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := issuer.Memory()
		one, two := browser(t, newIssuer(t, issuer.WithStore(store))), newIssuer(t, issuer.WithStore(store))
		_, before := own(t, one)
		own(t, two)
		if err := one.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		for ms := 0; ms < 1000; ms += 7 {
			for _, pair := range [][2]*issuer.Issuer{{one, two}, {two, one}} {
				raw, kid := own(t, pair[0])
				if ids, _ := published(t, pair[1]); !slices.Contains(ids, kid) || !active(pair[1], raw) {
					t.Fatalf("%d ms after RotateKeys the other issuer knows %v, and not %s", ms, ids, kid)
				}
			}
			time.Sleep(7 * time.Millisecond)
		}
		for _, is := range []*issuer.Issuer{one, two} {
			if _, kid := own(t, is); kid == before {
				t.Error("a second after RotateKeys the old key signs")
			}
		}
	})
}

// flaky is a store that can be made unavailable.
type flaky struct {
	issuer.Store
	down bool
}

func (s *flaky) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if s.down {
		return nil, 0, errAway
	}
	return s.Store.Get(ctx, key)
}

func TestKeysOutliveTheStoreForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{Store: issuer.Memory()}
		is := newIssuer(t, issuer.WithStore(store))
		ids, _ := published(t, is)
		store.down = true
		time.Sleep(time.Minute)
		if now, _ := published(t, is); !slices.Equal(now, ids) {
			t.Errorf("a minute without the store: %v, want %v", now, ids)
		}
		time.Sleep(time.Nanosecond)
		if _, err := is.KeySet(t.Context()); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("after that: %v, want ErrUnavailable", err)
		}
		store.down = false
		if now, _ := published(t, is); !slices.Equal(now, ids) {
			t.Errorf("with the store again: %v, want %v", now, ids)
		}
	})
}

func TestAlgorithms(t *testing.T) {
	for _, alg := range []string{issuer.EdDSA, issuer.ES256, issuer.RS256} {
		for id, want := range map[string]string{"": issuer.RS256, issuer.EdDSA: issuer.EdDSA, issuer.ES256: issuer.ES256} {
			is := browser(t, newIssuer(t, issuer.WithAlgorithm(alg)))
			if err := is.Update(t.Context(), "web", func(a *issuer.Account) error { a.IDAlgorithm = id; return nil }); err != nil {
				t.Fatal(err)
			}
			_, got := begin(t, is, "web")
			access, identity := part(t, got["access_token"], 0), part(t, got["id_token"], 0)
			if access["alg"] != alg || access["typ"] != "at+jwt" || identity["alg"] != want {
				t.Errorf("access %s, ID %q: headers %v and %v", alg, id, access, identity)
			}
			ids, algs := published(t, is)
			for _, h := range []map[string]any{access, identity} {
				if n := slices.Index(ids, fmt.Sprint(h["kid"])); n < 0 || algs[n] != h["alg"] {
					t.Errorf("access %s, ID %q: %v is not in %v %v", alg, id, h, ids, algs)
				}
			}
			if !activeAs(is, "web", got["access_token"]) {
				t.Errorf("%s: inactive at its own issuer", alg)
			}
		}
	}
	for name, a := range map[string]issuer.Account{
		"HS256": {ID: "x", Type: issuer.Service, IDAlgorithm: "HS256"}, "none": {ID: "x", Type: issuer.Service, IDAlgorithm: "none"},
	} {
		if err := newIssuer(t).Create(t.Context(), a, "secret"); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: Create = %v, want ErrInvalid", name, err)
		}
	}
}
