package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

// nth is a store whose n-th call from now on fails: before it did anything, or
// after it did and the answer was lost.
type nth struct {
	issuer.Store
	mu     sync.Mutex
	left   int // calls before the one that fails; below 0: none does
	lost   bool
	calls  int
	failed string // the method and key that failed
}

func (s *nth) arm(n int, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.lost, s.calls, s.failed = n, lost, 0, ""
}

// call reports whether this call fails.
func (s *nth) call(method, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	fail := s.left == 0
	if s.left--; fail {
		s.failed = method + " " + key
	}
	return fail
}

func (s *nth) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if s.call("get", key) {
		return nil, 0, errAway
	}
	return s.Store.Get(ctx, key)
}

func (s *nth) Put(ctx context.Context, key string, value []byte, version uint64, ttl time.Duration) error {
	if s.call("put", key) {
		if s.lost {
			s.Store.Put(ctx, key, value, version, ttl)
		}
		return errAway
	}
	return s.Store.Put(ctx, key, value, version, ttl)
}

func (s *nth) Delete(ctx context.Context, key string) error {
	if s.call("delete", key) {
		if s.lost {
			s.Store.Delete(ctx, key)
		}
		return errAway
	}
	return s.Store.Delete(ctx, key)
}

func (s *nth) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	if s.call("list", prefix) {
		return func(yield func(string, error) bool) { yield("", errAway) }
	}
	return s.Store.List(ctx, prefix)
}

// outcome is what came of a request or a call.
type outcome struct {
	ok, unavailable bool
	text            string
}

func returned(err error) outcome {
	return outcome{err == nil, errors.Is(err, auth.ErrUnavailable), fmt.Sprint(err)}
}

// answered is of the token endpoint and its kin: what must be there if it is
// good says want.
func answered(status int, got map[string]any, want string) outcome {
	return outcome{status == 200 && (want == "" || got[want] != nil && got[want] != false), status == 503, fmt.Sprint(status, got)}
}

// sentBack is of the authorize endpoint.
func sentBack(r *http.Response, body string) outcome {
	return outcome{sent(r).Get("code") != "", r.StatusCode == 503, fmt.Sprint(r.StatusCode, r.Header, body)}
}

// Whatever call of the store fails: nobody gets anything, nobody is told why,
// nothing is half done, and the same again succeeds.
func TestEveryCallOfTheStoreMayFail(t *testing.T) {
	access := func(t *testing.T, is http.Handler) (got map[string]any) {
		_, got = begin(t, is, "web")
		return got
	}
	oneShot := map[string]bool{"a code": true} // can't be repeated when its answer was lost
	for name, prepare := range map[string]func(t *testing.T, is *issuer.Issuer) func() outcome{
		"client credentials": func(_ *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome {
				status, got := post(is, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
				return answered(status, got, "access_token")
			}
		},
		"a code": func(t *testing.T, is *issuer.Issuer) func() outcome {
			f := exchangeForm(code(t, is, "web"))
			return func() outcome {
				status, got := post(is, "/token", "web", "web-secret", f)
				return answered(status, got, "id_token")
			}
		},
		"a refresh token": func(t *testing.T, is *issuer.Issuer) func() outcome {
			got := access(t, is)
			return func() outcome {
				status, got := refreshWith(is, "web", got["refresh_token"])
				return answered(status, got, "refresh_token")
			}
		},
		"token exchange": func(t *testing.T, is *issuer.Issuer) func() outcome {
			got := access(t, is)
			return func() outcome {
				status, got := post(is, "/token", "web", "web-secret", url.Values{
					"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {got["access_token"].(string)},
					"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {"web"},
				})
				return answered(status, got, "access_token")
			}
		},
		"a token bound to a key": func(t *testing.T, is *issuer.Issuer) func() outcome {
			h := newHolder(t)
			return func() outcome {
				f := url.Values{"grant_type": {"client_credentials"}, "client_id": {"orders"}, "client_secret": {"orders-secret"}}
				status, _, got := prove(is, "POST", "/token", "", f, h.proof("POST", is.URL()+"/token", ""))
				return answered(status, got, "access_token")
			}
		},
		"userinfo": func(t *testing.T, is *issuer.Issuer) func() outcome {
			got := access(t, is)
			return func() outcome {
				status, _, info := prove(is, "GET", "/userinfo", "Bearer "+fmt.Sprint(got["access_token"]), nil)
				return answered(status, info, "sub")
			}
		},
		"introspection": func(t *testing.T, is *issuer.Issuer) func() outcome {
			got := access(t, is)
			return func() outcome {
				status, in := post(is, "/introspect", "web", "web-secret", url.Values{"token": {got["access_token"].(string)}})
				return answered(status, in, "active")
			}
		},
		"revoking an access token": func(t *testing.T, is *issuer.Issuer) func() outcome {
			got := access(t, is)
			return func() outcome {
				status, out := post(is, "/revoke", "web", "web-secret", url.Values{"token": {got["access_token"].(string)}})
				return answered(status, out, "")
			}
		},
		"revoking a refresh token": func(t *testing.T, is *issuer.Issuer) func() outcome {
			got := access(t, is)
			return func() outcome {
				status, out := post(is, "/revoke", "web", "web-secret", url.Values{"token": {got["refresh_token"].(string)}})
				return answered(status, out, "")
			}
		},
		"the form": func(_ *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome {
				return sentBack(visit(is, "", request("web", callback), url.Values{"username": {"alice"}, "password": {"alice-password"}}))
			}
		},
		"a session": func(_ *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome { return sentBack(visit(is, "alice", request("web", callback), nil)) }
		},
		"consent": func(_ *testing.T, is *issuer.Issuer) func() outcome {
			q := request("web", callback, "prompt", "consent")
			return func() outcome {
				resp, body := visit(is, "alice", q, nil)
				if m := consentField.FindStringSubmatch(body); m != nil {
					return sentBack(visit(is, "alice", q, url.Values{"consent": {m[1]}}))
				}
				return sentBack(resp, body)
			}
		},
		"Read": func(t *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome { _, err := is.Read(t.Context(), "alice"); return returned(err) }
		},
		"Delete": func(t *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome { return returned(is.Delete(t.Context(), "billing")) }
		},
		"Search": func(t *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome {
				found, err := is.Search(t.Context(), issuer.Query{})
				if err == nil && len(found) < 6 {
					err = fmt.Errorf("found only %d", len(found))
				}
				return returned(err)
			}
		},
		"Create": func(t *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome {
				err := is.Create(t.Context(), issuer.Account{ID: "new", Type: issuer.User}, "x")
				if errors.Is(err, issuer.ErrExists) { // by the call whose answer was lost
					err = nil
				}
				return returned(err)
			}
		},
		"Update": func(t *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome {
				return returned(is.Update(t.Context(), "alice", func(a *issuer.Account) error { a.Roles = []string{"r"}; return nil }))
			}
		},
		"SetSecret": func(t *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome { return returned(is.SetSecret(t.Context(), "alice", "y")) }
		},
		"RotateKeys": func(t *testing.T, is *issuer.Issuer) func() outcome {
			return func() outcome { return returned(is.RotateKeys(t.Context())) }
		},
		"RevokeKey": func(t *testing.T, is *issuer.Issuer) func() outcome {
			_, kid := own(t, is)
			return func() outcome {
				err := is.RevokeKey(t.Context(), kid)
				if errors.Is(err, issuer.ErrNotFound) {
					err = nil
				}
				return returned(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, lost := range []bool{false, true} {
				surfaced := 0
				for n, calls := 0, 1; n < calls; n++ {
					store := &nth{Store: issuer.Memory(), left: -1}
					is := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithLogin(session)))
					do := prepare(t, is)
					if n == 0 {
						store.arm(-1, false)
						if out := do(); !out.ok {
							t.Fatalf("with a store that works: %+v", out)
						}
						calls = store.calls + 1
						continue
					}
					store.arm(n-1, lost)
					out := do()
					switch {
					case store.failed == "": // another path was shorter
					case out.ok && !strings.HasPrefix(store.failed, "get keys"):
						t.Errorf("call %d (%s) failed, and all was well: %+v", n, store.failed, out)
					case !out.ok && !out.unavailable:
						t.Errorf("call %d (%s) failed: %+v, want 503 or ErrUnavailable", n, store.failed, out)
					case !out.ok && strings.Contains(out.text, "refused") && !strings.HasPrefix(out.text, "auth/issuer: "):
						t.Errorf("call %d (%s) failed, and a stranger hears why: %+v", n, store.failed, out)
					}
					if !out.ok {
						surfaced++
					}
					wrote := lost && !strings.HasPrefix(store.failed, "get") && !strings.HasPrefix(store.failed, "list")
					store.arm(-1, false)
					if out := do(); !out.ok && !(wrote && oneShot[name]) {
						t.Errorf("again, after call %d had failed: %+v", n, out)
					}
				}
				if surfaced == 0 {
					t.Error("no failure was seen")
				}
			}
		})
	}
}

// A grant whose end can't be written isn't ended, so the attempt is refused as
// unavailable, and the next one ends it.
func TestReuseThatCantBeWrittenDown(t *testing.T) {
	store := &nth{Store: issuer.Memory(), left: -1}
	is := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithRefreshGrace(0)))
	_, got := begin(t, is, "web")
	_, next := refreshWith(is, "web", got["refresh_token"])
	var seen []int
	for n := range 20 {
		store.arm(n, false)
		status, _ := refreshWith(is, "web", got["refresh_token"])
		seen = append(seen, status)
		if status != 503 {
			break
		}
		store.arm(-1, false)
		if !activeAs(is, "web", next["access_token"]) {
			t.Errorf("ended although call %d failed", n)
		}
	}
	if len(seen) < 3 || seen[len(seen)-1] != 400 || slices.Contains(seen, 200) {
		t.Errorf("answers %v, want 503 until nothing fails, then 400", seen)
	}
	store.arm(-1, false)
	if activeAs(is, "web", next["access_token"]) {
		t.Error("the grant goes on after a refresh token was used twice")
	}
}
