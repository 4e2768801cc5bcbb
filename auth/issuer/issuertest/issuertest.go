// Package issuertest is the conformance suite of issuer.Store.
package issuertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/auth/issuer"
)

// Run runs the suite. open returns an empty store, and is called once a case.
func Run(t *testing.T, open func(t *testing.T) issuer.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, issuer.Store)
	}{
		{"records are written by version", versions},
		{"of many who create one wins", creators},
		{"concurrent changes lose nothing", changes},
		{"records end", ends},
		{"keys are listed by prefix", lists},
		{"one code gives one token", oneCode},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func versions(t *testing.T, s issuer.Store) {
	ctx := t.Context()
	if _, _, err := s.Get(ctx, "a/missing"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Get of nothing = %v, want ErrNotFound", err)
	}
	if err := s.Put(ctx, "a/k", []byte("one"), 0, 0); err != nil {
		t.Fatal(err)
	}
	v, first, err := s.Get(ctx, "a/k")
	if err != nil || string(v) != "one" || first == 0 {
		t.Fatalf("Get = %q, %d, %v", v, first, err)
	}
	if err := s.Put(ctx, "a/k", []byte("x"), 0, 0); !errors.Is(err, issuer.ErrConflict) {
		t.Errorf("creating twice: %v, want ErrConflict", err)
	}
	if err := s.Put(ctx, "a/k", []byte("two"), first, 0); err != nil {
		t.Errorf("Put with the version: %v", err)
	}
	if err := s.Put(ctx, "a/k", []byte("x"), first, 0); !errors.Is(err, issuer.ErrConflict) {
		t.Errorf("Put with an old version: %v, want ErrConflict", err)
	}
	if err := s.Put(ctx, "a/other", []byte("x"), first, 0); !errors.Is(err, issuer.ErrConflict) {
		t.Errorf("Put of nothing with a version: %v, want ErrConflict", err)
	}
	if v, second, err := s.Get(ctx, "a/k"); err != nil || string(v) != "two" || second == first {
		t.Errorf("Get = %q, %d, %v, want two and another version than %d", v, second, err, first)
	}
	for range 2 {
		if err := s.Delete(ctx, "a/k"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if _, _, err := s.Get(ctx, "a/k"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Get after Delete = %v, want ErrNotFound", err)
	}
}

func creators(t *testing.T, s issuer.Store) {
	for round := range 5 {
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				switch err := s.Put(t.Context(), fmt.Sprint("c/", round), []byte(fmt.Sprint(i)), 0, time.Minute); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, issuer.ErrConflict):
					t.Errorf("Put: %v", err)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Errorf("%d of 16 created it", n)
		}
	}
}

func changes(t *testing.T, s issuer.Store) {
	const workers, each = 8, 5
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				for {
					v, version, err := s.Get(t.Context(), "n")
					if err != nil && !errors.Is(err, issuer.ErrNotFound) {
						t.Errorf("Get: %v", err)
						return
					}
					err = s.Put(t.Context(), "n", append(v, 'x'), version, 0)
					if err == nil {
						break
					}
					if !errors.Is(err, issuer.ErrConflict) {
						t.Errorf("Put: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if v, _, err := s.Get(t.Context(), "n"); err != nil || len(v) != workers*each {
		t.Errorf("%d of %d changes are there, %v", len(v), workers*each, err)
	}
}

func ends(t *testing.T, s issuer.Store) {
	ctx := t.Context()
	if err := s.Put(ctx, "t/short", []byte("x"), 0, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, "t/long", []byte("x"), 0, 1000*time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(ctx, "t/short"); err != nil {
		t.Errorf("within its time: %v", err)
	}
	deadline := time.Now().Add(40 * time.Second)
	for {
		_, _, err := s.Get(ctx, "t/short")
		if errors.Is(err, issuer.ErrNotFound) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after its time: %v, want ErrNotFound", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := s.Put(ctx, "t/short", []byte("again"), 0, 0); err != nil {
		t.Errorf("creating it again: %v", err)
	}
	if v, _, err := s.Get(ctx, "t/short"); err != nil || string(v) != "again" {
		t.Errorf("Get = %q, %v", v, err)
	}
	if _, _, err := s.Get(ctx, "t/long"); err != nil {
		t.Errorf("the other one: %v", err)
	}
}

func lists(t *testing.T, s issuer.Store) {
	ctx := t.Context()
	odd := []string{"l/a", "l/ä%2F", "l/" + strings.Repeat("x", 400), "l/z"}
	for _, k := range append(odd, "m/a") {
		if err := s.Put(ctx, k, []byte("x"), 0, 0); err != nil {
			t.Fatalf("Put %q: %v", k, err)
		}
	}
	got := map[string]bool{}
	for k, err := range s.List(ctx, "l/") {
		if err != nil {
			t.Fatal(err)
		}
		got[k] = true
	}
	for _, k := range odd {
		if !got[k] {
			t.Errorf("%q is not listed", k)
		}
	}
	if len(got) != len(odd) {
		t.Errorf("listed: %v", got)
	}
	for range s.List(ctx, "l/") {
		break // may be left
	}
}

// oneCode has two issuers on the store exchange each code many times at once.
func oneCode(t *testing.T, s issuer.Store) {
	const verifier, callback = "0123456789012345678901234567890123456789abc", "https://web.example.com/cb"
	var issuers []http.Handler
	for range 2 {
		is, err := issuer.New(issuer.WithStore(s), issuer.WithHashRounds(1000), issuer.WithLogin(func(*http.Request) (string, bool) { return "alice", true }))
		if err != nil {
			t.Fatal(err)
		}
		if len(issuers) == 0 {
			seed(t.Context(), t, is, callback)
		}
		issuers = append(issuers, is)
	}
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {callback}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	for round := range 5 {
		w := httptest.NewRecorder()
		issuers[0].ServeHTTP(w, httptest.NewRequest("GET", "/authorize?"+q.Encode(), nil))
		back, err := w.Result().Location()
		if err != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		var tokens atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				r := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.SetBasicAuth("web", "secret")
				w := httptest.NewRecorder()
				issuers[i%2].ServeHTTP(w, r)
				var got map[string]any
				json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&got)
				switch {
				case w.Code == 200:
					tokens.Add(1)
				case got["error"] != "invalid_grant":
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		wg.Wait()
		if n := tokens.Load(); n != 1 {
			t.Errorf("round %d: one code gave %d tokens", round, n)
		}
	}
}

func seed(ctx context.Context, t *testing.T, is *issuer.Issuer, callback string) {
	t.Helper()
	for _, a := range []issuer.Account{{ID: "web", Type: issuer.Service, RedirectURIs: []string{callback}}, {ID: "alice", Type: issuer.User}} {
		if err := is.Create(ctx, a, "secret"); err != nil {
			t.Fatal(err)
		}
	}
}
