package remote

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/life"
)

func TestMain(m *testing.M) { leak.Main(m) }

// site serves a key set that a test can change.
type site struct {
	*httptest.Server
	fetches atomic.Int64
	answer  atomic.Value // func(http.ResponseWriter, *http.Request)
}

func newSite(t *testing.T) *site {
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		s.answer.Load().(func(http.ResponseWriter, *http.Request))(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) keys(keys ...*jose.Key) {
	s.answer.Store(func(w http.ResponseWriter, _ *http.Request) { w.Write(jose.MarshalSet(keys...)) })
}

func (s *site) open(t *testing.T) *Keys {
	l, c := life.New(), NewClient()
	t.Cleanup(func() { l.Close(nil); c.CloseIdleConnections() })
	return NewKeys(l, c, 5*time.Second, s.URL)
}

func signer(t *testing.T, id string) *jose.Signer {
	t.Helper()
	_, key, _ := ed25519.GenerateKey(nil)
	s, err := jose.NewSigner(id, "", key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// coreos/go-oidc#482: 500 tokens cost go-oidc 3.21 500 fetches, also with a known
// key id and a bad signature.
func TestFloodOfTokensIsNoFloodOfFetches(t *testing.T) {
	s := newSite(t)
	good, forger := signer(t, "good"), signer(t, "good")
	s.keys(good.Key())
	v := jose.Verifier{Issuer: "i", Algorithms: []string{jose.EdDSA}, Keys: s.open(t)}
	claims := []byte(`{"iss":"i","exp":9999999999}`)
	sign := func(s *jose.Signer) string {
		raw, err := s.Sign("at+jwt", claims)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var wg sync.WaitGroup
	for i := range 500 {
		raw := sign(signer(t, fmt.Sprint("random", i)))
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), raw); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("a random key id: %v, want ErrNoKey", err)
			}
		})
	}
	wg.Wait()
	if n := s.fetches.Load(); n > 3 {
		t.Errorf("%d fetches for 500 random key ids, want 3 or less", n)
	} else {
		t.Logf("500 random key ids: %d fetches", n)
	}
	before := s.fetches.Load()
	for range 500 {
		if _, err := v.Verify(t.Context(), sign(forger)); !errors.Is(err, jose.ErrSignature) {
			t.Fatalf("a bad signature: %v, want ErrSignature", err)
		}
	}
	if n := s.fetches.Load() - before; n != 0 {
		t.Errorf("%d fetches for 500 bad signatures with a known key id, want none", n)
	}
	if _, err := v.Verify(t.Context(), sign(good)); err != nil {
		t.Errorf("a good token among the flood: %v", err)
	}
}

// openfga/openfga#3099: keys rotate and the cache never looks again.
func TestNewKeyIsFoundAtOnce(t *testing.T) {
	s := newSite(t)
	old, next := signer(t, "old"), signer(t, "next")
	s.keys(old.Key())
	k := s.open(t)
	if _, err := k.Keys(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	s.keys(old.Key(), next.Key())
	if _, err := k.Keys(t.Context(), "next"); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestOldKeysServeWhileTheServerIsAway(t *testing.T) {
	s := newSite(t)
	s.keys(signer(t, "a").Key())
	k := s.open(t)
	if _, err := k.Keys(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	s.answer.Store(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	k.doc.mu.Lock()
	k.doc.renewAt = time.Now().Add(-time.Hour) // due
	k.doc.mu.Unlock()
	for range 20 {
		if _, err := k.Keys(t.Context(), "a"); err != nil {
			t.Errorf("while the server fails: %v", err)
		}
	}
	if _, err := k.Keys(t.Context(), "b"); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("an unknown key while the server fails: %v, want ErrNoKey", err)
	}
	k.doc.mu.Lock()
	k.doc.fetched = time.Now().Add(-72 * time.Hour)
	k.doc.mu.Unlock()
	if _, err := k.Keys(t.Context(), "a"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("after three days: %v, want ErrUnavailable", err)
	}
}

func TestBadAnswersAreUnavailable(t *testing.T) {
	other := newSite(t)
	other.keys(signer(t, "a").Key())
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"a status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"no JSON":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no keys":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"too long": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", maxBody+1)) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		},
		"redirect to elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"redirect without end":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
	} {
		s := newSite(t)
		s.answer.Store(answer)
		k := s.open(t)
		for range 50 {
			if _, err := k.Keys(t.Context(), "a"); !errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
		}
		if n := s.fetches.Load(); n > 8 { // a redirect is a fetch too
			t.Errorf("%s: fetched %d times for 50 calls", name, n)
		}
	}
	if n := other.fetches.Load(); n != 0 {
		t.Errorf("a redirect to another host was followed %d times", n)
	}
}

func TestCallerWhoGivesUp(t *testing.T) {
	s := newSite(t)
	release := make(chan struct{})
	s.answer.Store(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		w.Write(jose.MarshalSet(signer(t, "a").Key()))
	})
	k := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := k.Keys(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("impatient: %v", err)
		}
	})
	wg.Go(func() {
		if _, err := k.Keys(t.Context(), "a"); err != nil {
			t.Errorf("patient: %v", err)
		}
	})
	cancel()
	for s.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestForeignClientStaysOffPrivateAddresses(t *testing.T) {
	s := newSite(t)
	s.keys(signer(t, "a").Key())
	for _, u := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "http://169.254.169.254/", "http://10.0.0.1/", "http://[::1]:1/"} {
		c := NewForeignClient()
		resp, err := c.Get(u)
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "not a public address") {
			t.Errorf("%s: %v, want a refusal to dial", u, err)
		}
	}
	if n := s.fetches.Load(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

func TestFreshness(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": time.Hour, "max-age=1": minFresh, "public, max-age=7200": 2 * time.Hour, "max-age=99999999999": time.Hour, "MAX-AGE=600": 10 * time.Minute,
		"no-store": time.Hour, "max-age=-5": minFresh, "max-age=x": time.Hour, "max-age=86399": 86399 * time.Second, "max-age=86400": time.Hour,
	} {
		if got := freshness(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestSizesOfBodies(t *testing.T) {
	set := jose.MarshalSet(signer(t, "a").Key())
	for size, ok := range map[int]bool{len(set): true, maxBody - 1: true, maxBody: true, maxBody + 1: false, 8 * maxBody: false} {
		s := newSite(t)
		s.answer.Store(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(set)
			fmt.Fprint(w, strings.Repeat(" ", size-len(set)))
		})
		keys, err := s.open(t).Keys(t.Context(), "a")
		if (err == nil) != ok || ok && len(keys) != 1 || !ok && !errors.Is(err, fault.Unavailable) {
			t.Errorf("a body of %d bytes: %d keys, %v; want success %t", size, len(keys), err, ok)
		}
	}
}

// A server that begins its answer and goes on indefinitely holds nobody up.
func TestABodyThatNeverEnds(t *testing.T) {
	s := newSite(t)
	s.answer.Store(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			select {
			case <-time.After(5 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	l, c := life.New(), NewClient()
	defer c.CloseIdleConnections()
	defer l.Close(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := NewKeys(l, c, 50*time.Millisecond, s.URL).Keys(ctx, "a")
	if !errors.Is(err, fault.Unavailable) || ctx.Err() != nil {
		t.Errorf("%v, want ErrUnavailable before the caller gives up: %v", err, ctx.Err())
	}
}
